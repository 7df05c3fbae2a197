"""POST /targets/{target}/probe, `relay probe`: a target's name -> what it answers now, to a request that is no event.

Sent from where the operation runs: by the command from its machine, by the API from the daemon. It counts nowhere: not
as an attempt, for no circuit, and not against `rate` and `concurrency`.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, Literal

from msgspec import Meta

from relay.delivery.send import Sender
from relay.delivery.sender_chain import SenderChain
from relay.delivery.tasks import Tasks
from relay.delivery.template_renderer import new_renderer
from relay.errors import NotFoundError
from relay.http.client import plain_client
from relay.model import Outcome, Target
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.acts_done import ProbeDocument
from relay.routes.diagnostics import quoted, suggestion

Method = Literal["OPTIONS", "GET"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The target, and the method of the request: both are safe by RFC 9110 §9.2.1."""

    target: str
    method: Annotated[Method, Meta(description="OPTIONS, or GET for a target that answers nothing else.")] = "OPTIONS"


async def probe(desk: Desk, asked: Probe) -> ProbeDocument:
    """Ask a target, with its own headers, proxy, certificates and token, and without an event, an id or a signature.

    NotFoundError for a name that the routes in force do not have; RoutesInvalid if they cannot be used.
    """
    config = desk.config()
    if (target := config.targets.get(asked.target)) is None:
        raise NotFoundError(f"no target {quoted(asked.target)} {suggestion(asked.target, sorted(config.targets))}")
    await desk.store.record_audit(desk.act("probe", {"target": target.name, "method": asked.method}), 1)
    outcome = await _answer(desk, target, asked.method)
    return ProbeDocument(
        target=target.name,
        method=asked.method,
        url=config.url_as_written(target.name),
        reached=outcome.status is not None,
        reason=outcome.reason.value,
        status=outcome.status,
        took=outcome.took / timedelta(seconds=1),
        detail=outcome.detail,
    )


async def _answer(desk: Desk, target: Target, method: Method) -> Outcome:
    tasks = Tasks(f"probe {target.name}")
    sender = Sender(clock=desk.now, new_client=plain_client)
    chain = SenderChain(sender, emit=lambda _signal: None, tasks=tasks, clock=desk.now, new_client=plain_client)
    unjudged = replace(target, ok_if=None, retry_after=None)  # what they judge are answers to events
    try:
        request = new_renderer(target).render_probe(method)
        return await chain.of(unjudged).send(request, timeout=target.timeout, tls=target.tls, egress=target.egress)
    finally:
        await tasks.stop(timedelta(), set())
        await sender.close()


PROBE = Operation(
    name="probe",
    method="POST",
    path="/targets/{target}/probe",
    role=Role.OPERATOR,
    parameters=Probe,
    document=ProbeDocument,
    run=probe,
    summary="Ask a target now, with a request that is no event.",
)
