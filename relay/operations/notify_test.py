"""POST /notify/test, `relay notify test`: the receivers of `notify` -> what each answers to a test, sent now.

Sent from where the operation runs: by the command from its machine, by the API from the daemon. Quiet hours do not
hold it up, and it counts in no metric.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from relay.errors import NotFoundError
from relay.http.client import plain_client
from relay.model.notify import Notify
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.notify import NotifyTestDocument, ReceiverDocument
from relay.routes.config import Config

if TYPE_CHECKING:
    from relay.notify.notification import Notification

NONE = "the routes file has no notify: see docs/notifications.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyTest:
    """`to`: the place of a receiver in the file, from 1; 0 is every one."""

    to: Annotated[
        int, Meta(ge=0, le=10_000, description="The place of a receiver in the routes file, from 1. Left out: all.")
    ] = 0


async def notify_test(desk: Desk, asked: NotifyTest) -> NotifyTestDocument:
    """Send a test to one receiver, or to all at once; NotFoundError if there is none, or none at that place."""
    chosen = _chosen(desk.config(), asked)
    await desk.store.record_audit(desk.act("notify test", {"to": [each.name for each in chosen]}), len(chosen))
    return await _all_sent(chosen, desk.now, desk.console)


async def sent_unaudited(config: Config, asked: NotifyTest, console: str) -> NotifyTestDocument:
    """The same where there is no store yet."""
    return await _all_sent(_chosen(config, asked), lambda: datetime.now(UTC), console)


def _chosen(config: Config, asked: NotifyTest) -> list[Notify]:
    if not config.notify:
        raise NotFoundError(NONE)
    if asked.to > len(config.notify):
        known = ", ".join(f"{number} {each.name}" for number, each in enumerate(config.notify, 1))
        raise NotFoundError(f"no receiver {asked.to} (known: {known})")
    return [each for number, each in enumerate(config.notify, 1) if asked.to in (0, number)]


async def _all_sent(chosen: Sequence[Notify], clock: Callable[[], datetime], console: str) -> NotifyTestDocument:
    sent = await asyncio.gather(*(_sent(each, clock, console) for each in chosen))
    return NotifyTestDocument(receivers=tuple(sent))


async def _sent(of: Notify, clock: Callable[[], datetime], console: str) -> ReceiverDocument:
    from relay.notify.receivers.receiver import Receiver  # and nothing of it without a test

    receiver = Receiver(of, clock=clock, new_client=plain_client)
    try:
        reply = await receiver.send(_said(of, clock(), console))
    finally:
        await receiver.close()
    return ReceiverDocument(
        receiver=of.name,
        result=reply.result.value,
        took=reply.took / timedelta(seconds=1),
        answer=reply.detail,
    )


def _said(of: Notify, now: datetime, console: str) -> "Notification":
    from relay.notify.notification import test_notification
    from relay.notify.texts import Speaker

    name = of.installation or socket.gethostname()
    speaker = Speaker(language=of.language, name=name, relay="", local=lambda at: at.astimezone())
    return test_notification(speaker, console=console, now=now)


NOTIFY_TEST = Operation(
    name="notify_test",
    method="POST",
    path="/notify/test",
    role=Role.OPERATOR,
    parameters=NotifyTest,
    document=NotifyTestDocument,
    run=notify_test,
    summary="Send a test notification to each receiver, and say what it answers.",
    remote=True,
)
