"""POST /notify/test, `relay notify test`: the receivers of `notify` -> what each answers to a test, sent now.

Sent from where the operation runs: by the command from its machine, by the API from the daemon. Quiet hours do not
hold it up, and it counts in no metric.
"""

import asyncio
import socket
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from relay.errors import NotFoundError
from relay.http.client import plain_client
from relay.model.notify import Notify
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.notify import NotifyTestDocument, ReceiverDocument

if TYPE_CHECKING:
    from relay.notify.notification import Notification

NONE = "the routes file has no notify: see docs/notifications.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyTest:
    """`to`: the place of a receiver in the file, from 1; 0 is every one."""

    to: Annotated[int, Meta(ge=0, description="The place of a receiver in the routes file, from 1. Left out: all.")] = 0


async def notify_test(desk: Desk, asked: NotifyTest) -> NotifyTestDocument:
    """Send a test to one receiver, or to all at once; NotFoundError if there is none, or none at that place."""
    config = desk.config()
    if not config.notify:
        raise NotFoundError(NONE)
    if asked.to > len(config.notify):
        known = ", ".join(f"{number} {each.name}" for number, each in enumerate(config.notify, 1))
        raise NotFoundError(f"no receiver {asked.to} (known: {known})")
    chosen = [each for number, each in enumerate(config.notify, 1) if asked.to in (0, number)]
    await desk.store.record_audit(desk.act("notify test", {"to": [each.name for each in chosen]}), len(chosen))
    return NotifyTestDocument(receivers=tuple(await asyncio.gather(*(_sent(desk, each) for each in chosen))))


async def _sent(desk: Desk, of: Notify) -> ReceiverDocument:
    from relay.notify.receivers.receiver import Receiver  # and nothing of it without a test

    receiver = Receiver(of, clock=desk.now, new_client=plain_client)
    try:
        reply = await receiver.send(_said(desk, of))
    finally:
        await receiver.close()
    return ReceiverDocument(
        receiver=of.name,
        result=reply.result.value,
        took=reply.took / timedelta(seconds=1),
        answer=reply.detail,
    )


def _said(desk: Desk, of: Notify) -> "Notification":
    from relay.notify.notification import test_notification
    from relay.notify.texts import Speaker

    name = of.installation or socket.gethostname()
    speaker = Speaker(language=of.language, name=name, relay="", local=lambda at: at.astimezone())
    return test_notification(speaker, console="", now=desk.now())


NOTIFY_TEST = Operation(
    name="notify test",
    method="POST",
    path="/notify/test",
    role=Role.OPERATOR,
    parameters=NotifyTest,
    document=NotifyTestDocument,
    run=notify_test,
    summary="Send a test notification to each receiver, and say what it answers.",
)
