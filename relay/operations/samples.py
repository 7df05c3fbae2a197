"""POST /sources/{source}/sample: the relay takes a webhook of its own making, to show that the whole way works.

It is stored, routed and delivered as a real one; on a machine without a daemon `relay send` posts one by HTTP.
"""

from dataclasses import dataclass

from relay.amocrm import form, sample_bodies
from relay.errors import ConflictError, NotFoundError
from relay.model import Source
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.samples import SampleDocument
from relay.routes.diagnostics import quoted, suggestion

TYPE = "leads.status"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The source that it comes to."""

    source: str


async def sample(desk: Desk, asked: Sample) -> SampleDocument:
    """Take a sample; NotFoundError for a source that the routes in force do not have, ConflictError without a daemon.

    One sample a second: another one in the same second is a duplicate, as amoCRM's would be.
    """
    config = desk.config()
    if (source := config.sources.get(asked.source)) is None:
        raise NotFoundError(f"no source {quoted(asked.source)} {suggestion(asked.source, sorted(config.sources))}")
    if desk.receive is None:
        raise ConflictError(f"no relay runs here that could take it: relay send --event {TYPE} posts one")
    changed = str(int(desk.now().timestamp()))
    webhook = await desk.receive(source, _body(source, changed))
    await desk.store.record_audit(desk.act("sample", {"source": source.name, "webhook": webhook}), 1)
    return SampleDocument(source=source.name, webhook=webhook)


def _body(source: Source, changed: str) -> bytes:
    """The body of an account that the source accepts."""
    account = min(source.accounts, default="")
    id_ = account if account.isdecimal() else sample_bodies.ACCOUNT_ID
    subdomain = account if account and not account.isdecimal() else sample_bodies.SUBDOMAIN
    fields = {"last_modified": changed, "updated_at": changed}
    return form.encode(sample_bodies.body(TYPE, fields=fields, account_id=id_, subdomain=subdomain))


SAMPLE = Operation(
    name="sample",
    method="POST",
    path="/sources/{source}/sample",
    role=Role.OPERATOR,
    parameters=Sample,
    document=SampleDocument,
    run=sample,
    summary="Have the relay take a sample, as if amoCRM had posted it: it is delivered, too.",
)
