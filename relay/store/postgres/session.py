"""How a session with PostgreSQL is set up: libpq's parameters, and the settings that each commit depends on.

Settings are those of the session, or, behind a PgBouncer that pools by transaction, of each transaction.
"""

from collections.abc import Mapping
from typing import Any

STATEMENT = 5.0  # seconds for each statement, by the server's clock
QUESTION = 60.0  # the same for a command that only reads
CONNECT_TIMEOUT = 2  # seconds for each host of the DSN; libpq takes no shorter time

PARAMETERS: Mapping[str, Any] = {
    "connect_timeout": CONNECT_TIMEOUT,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 5000,
    "target_session_attrs": "read-write",
    "client_encoding": "utf8",
}

DURABLE = (
    "set_config('synchronous_commit', case when current_setting('synchronous_commit') in ('off', 'local') then 'on'"
    " else current_setting('synchronous_commit') end, {local})"
)
"""SQL: commits are flushed, and confirmed by synchronous standbys as the administrator has it: remote_apply stays."""
_SETTINGS = (
    f"select {DURABLE},"
    " set_config('statement_timeout', '{seconds:g}s', {local}),"
    " set_config('lock_timeout', '2s', {local}), set_config('idle_in_transaction_session_timeout', '5s', {local})"
)
# isolation: a statement must see what was committed before its transaction had its locks
# one plan for all values: to plan a settlement took three times as long as to execute it, and what arrived after the
# last `analyze` was taken for one row, so that all of it was joined and sorted
_OF_SESSION = (
    f"{_SETTINGS}, set_config('default_transaction_isolation', 'read committed', {{local}}),"
    " set_config('idle_session_timeout', '0', {local}), set_config('plan_cache_mode', 'force_generic_plan', {local})"
)
BEGIN = "begin isolation level read committed"
UNLIMITED = "select set_config('statement_timeout', '0', false), set_config('lock_timeout', '{lock_within}', false)"


def of_session(seconds: float) -> str:
    """Return what sets up a session whose statements take so long at most."""
    return _OF_SESSION.format(local="false", seconds=seconds)


def of_transaction(seconds: float) -> str:
    """Return the same for one transaction, in a session that is nobody's."""
    return _SETTINGS.format(local="true", seconds=seconds)


def lasting(seconds: float) -> tuple[str, tuple[str]]:
    """Return the statement that lets each further one of its transaction take so long."""
    return "select set_config('statement_timeout', %s, true)", (f"{seconds:.0f}s",)
