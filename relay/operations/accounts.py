"""What operators do about amoCRM's own API: grant access to an account, and look whether it serves us."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from relay.account.client import AccountClient
from relay.account.grants import ENDPOINT, by_code, read_grant
from relay.account.limiter import Priority
from relay.account.renamed import host_after, new_host
from relay.account.session import Params, Session
from relay.errors import AccountError, ConfigurationError, ConflictError
from relay.model import Account, Json, OAuthGrant
from relay.operations import audit
from relay.rfc3339 import rfc3339
from relay.store.account_records import AccountRecords, Grant
from relay.store.contract import OperationsStore

ACCOUNT = "/api/v4/account"
ABOUT: Params = {"with": "is_api_filter_enabled"}
RIGHTS: tuple[tuple[str, str, Params], ...] = (
    ("history", "/api/v4/events", {"limit": 1}),
    ("webhooks", "/api/v4/webhooks", {}),
    ("pipelines", "/api/v4/leads/pipelines", {}),
    ("users", "/api/v4/users", {"limit": 1}),
)
"""What guard, heal and names ask for; an administrator's token may do all."""


class Finding(NamedTuple):
    """One thing that was looked at. `error`: what is wrong with it, else None."""

    what: str
    text: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountReport:
    """What `relay account check` says of one account."""

    account: str
    host: str
    expires_at: datetime | None
    findings: tuple[Finding, ...]

    @property
    def is_good(self) -> bool:
        """True if everything was served."""
        return not any(each.error for each in self.findings)


async def check(client: AccountClient, now: datetime) -> AccountReport:
    """Ask for all that the relay may need, one after the other. A block that has ended is lifted for every process."""
    await client.block.lift()
    findings = [await _account(client)]
    if not findings[0].error:
        findings += [await _right(client, *each) for each in RIGHTS]
        findings.append(_clock(client))
    findings += _end(client, now)
    return AccountReport(
        account=client.account.name,
        host=client.account.host,
        expires_at=client.tokens.expires_at,
        findings=tuple(findings),
    )


async def _account(client: AccountClient) -> Finding:
    try:
        found = await client.get(ACCOUNT, ABOUT, priority=Priority.GUARD) or {}
    except AccountError as error:
        moved = await host_after(client, error)
        said = f"{error}: the account was renamed, write host: {moved}, and reload" if moved else str(error)
        return Finding("account", error=said)
    subdomain, filters = str(found.get("subdomain", "")), found.get("is_api_filter_enabled")
    said = f"id {found.get('id')}, {subdomain}, user {found.get('current_user_id')}"
    if moved := new_host(client.account.host, found):
        return Finding("account", said, f"it was renamed: write host: {moved}, and reload")
    return Finding("account", f"{said}, filters of lists {'on' if filters or client.account.is_kommo else 'off'}")


async def _right(client: AccountClient, what: str, path: str, params: Params) -> Finding:
    try:
        await client.get(path, params, priority=Priority.GUARD)
    except AccountError as error:
        return Finding(what, error=str(error))
    return Finding(what, "may be read")


def _clock(client: AccountClient) -> Finding:
    found = client.server_time()
    if found is None:
        return Finding(
            "clock", error="the account's answers do not tell its time: nothing without a time can be healed"
        )
    return Finding("clock", f"its time is known to within {found.within.total_seconds():.1f} s")


def _end(client: AccountClient, now: datetime) -> list[Finding]:
    ends_at = client.tokens.expires_at
    if ends_at is None:
        return []
    days = (ends_at - now) // timedelta(days=1)
    if days < 0:
        return [Finding("token", error="it has ended: make another")]
    return [Finding("token", f"{days} days left")]


def view(report: AccountReport) -> Json:
    """As `--json` shows it."""
    return {
        "account": report.account,
        "host": report.host,
        "good": report.is_good,
        "token_expires_at": rfc3339(report.expires_at) if report.expires_at else None,
        "findings": [{"what": each.what, "text": each.text, "error": each.error} for each in report.findings],
    }


# ---- login


def demand_oauth(account: Account) -> OAuthGrant:
    """The integration of an account that has one; ConfigurationError for another."""
    if account.oauth is None:
        raise ConfigurationError(f"accounts.{account.name} has a long-lived token: there is nothing to log in for")
    return account.oauth


def code_of(pasted: str, account: Account, state: str | None) -> str:
    """The code in what a person pasted: the address that amoCRM redirected to, or the code alone.

    ConflictError if that is of another account, a refusal, or of another login than that of `state`.
    """
    if "://" not in pasted:
        return pasted.strip()
    found = {name: values[0] for name, values in parse_qs(urlsplit(pasted.strip()).query).items()}
    if "error" in found:
        raise ConflictError(f"access was not granted: {found['error']}")
    if state and found.get("state") not in (None, state):
        raise ConflictError("the address is of another login: open the link that was printed last")
    if found.get("referer") not in (None, account.host) and ":" not in account.host:
        raise ConflictError(f"access was granted to {found['referer']}, and host of {account.name} is {account.host}")
    if "code" not in found:
        raise ConflictError("the address has no code: paste the one that amoCRM redirected to, with its query")
    return found["code"]


async def login(account: Account, records: AccountRecords, code: str, *, clock: Callable[[], datetime]) -> Grant:
    """Exchange a code for a grant, and store that; running relays use it at once. Raises an AccountError."""
    oauth = demand_oauth(account)
    session = Session(account.url)
    try:
        async with records.held(account.name) as held:
            asked_at, before = clock(), held.record.grant
            answer = await session.ask("POST", ENDPOINT, body=by_code(oauth, code))
            grant = read_grant(answer, now=asked_at, generation=before.generation + 1 if before else 0)
            await held.write(replace(held.record, grant=grant))
            return grant
    finally:
        await session.close()


async def audit_login(store: OperationsStore, name: str, *, by: str) -> None:
    """Audit that somebody granted access to an account."""
    await store.record_audit(audit.entry("account login", {"account": name}, by=by, now=store.clock()), 1)
