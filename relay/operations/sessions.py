"""POST /sessions/end, `relay access end-sessions`: no cookie of the console that was issued before is valid any more.

For a cookie that was stolen: it lives as long as its token otherwise, and at most seven days.
"""

from dataclasses import dataclass

from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.marks import Moment
from relay.operations.reloads import Nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsEndedDocument:
    """When that was. Relays that run notice within ten seconds."""

    ended_at: Moment


async def end_sessions(desk: Desk, _asked: Nothing) -> SessionsEndedDocument:
    """Have everybody log in again, with every relay on the store. Tokens stay as they are."""
    act = desk.act("access end-sessions", {})
    await desk.store.end_sessions(act)
    return SessionsEndedDocument(ended_at=act.at)


END_SESSIONS = Operation(
    name="end_sessions",
    method="POST",
    path="/sessions/end",
    role=Role.OPERATOR,
    parameters=Nothing,
    document=SessionsEndedDocument,
    run=end_sessions,
    summary="End every session of the console; everybody has to log in again.",
)
