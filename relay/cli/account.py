"""`relay account`: whether amoCRM's API serves us, and the grant of an OAuth integration."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from relay.account.grants import authorize_link
from relay.account.opening import asking
from relay.cli.flag_types import Words
from relay.cli.options import asynchronous, json_option
from relay.cli.output import cell, labelled, note, print_json, put
from relay.cli.routes_file import config_option, load
from relay.cli.store import account_records, operator, store_option, visiting
from relay.cli.times import local
from relay.errors import ConfigurationError, NotFoundError, StoreError
from relay.model import Account
from relay.operations import accounts as operation
from relay.rfc3339 import rfc3339
from relay.store.open import StoreUrl

CODE_LENGTH = 4096  # amoCRM's have some 700 characters


@click.group("account")
def account() -> None:
    """Look whether amoCRM's API serves the relay, or grant it access.

    \b
    relay account check
    relay account login main
    """  # noqa: D301  # \b is click's sign for "keep these lines"


@account.command("check")
@click.argument("names", nargs=-1, metavar="[ACCOUNT]...")
@json_option
@config_option
@store_option
@asynchronous
async def check(names: Sequence[str], as_json: bool, config_path: Path, store_url: StoreUrl) -> None:
    """Ask accounts for all that the relay may need of them.

    Without a name, every account of the routes file. Exit code 1 if anything was refused. After amoCRM has blocked an
    account's API nothing is asked of it until this command finds that it is served again.

    \b
    relay account check
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    known = load(config_path).accounts
    reports = [await _report(_named(known, name), store_url) for name in names or known]
    if as_json:
        print_json({"accounts": [operation.view(each) for each in reports]})
    else:
        _print(reports)
    if not all(each.is_good for each in reports):
        click.get_current_context().exit(1)


async def _report(found: Account, store_url: StoreUrl) -> operation.AccountReport:
    async with asking(found, account_records(store_url), clock=_utc_now) as client:
        return await operation.check(client, _utc_now())


def _print(reports: Sequence[operation.AccountReport]) -> None:
    if not reports:
        click.echo("the routes file has no accounts")
    for report in reports:
        put(cell(f"{report.account}  {report.host}"))
        for each in report.findings:
            text = f"{each.text}: {each.error}" if each.text and each.error else each.error or each.text
            put(labelled(each.what, text, "red" if each.error else ""), indent=2)


@account.command("login")
@click.argument("name", metavar="ACCOUNT")
@click.option(
    "--code",
    type=Words(CODE_LENGTH),
    metavar="TEXT",
    help="The address that amoCRM redirected to, or its code: instead of asking for it.",
)
@config_option
@store_option
@json_option
@asynchronous
async def login(name: str, code: str | None, config_path: Path, store_url: StoreUrl, as_json: bool) -> None:
    """Grant the relay access to an account that has oauth.

    Prints a link for an administrator of the account. amoCRM redirects to redirect_uri with a code, which works once
    and for 20 minutes: paste that address. Tokens are stored, and renewed by a running relay; it uses a new grant at
    once.

    \b
    relay account login main
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    found = _named(load(config_path).accounts, name)
    oauth, state = operation.demand_oauth(found), secrets.token_urlsafe(12)
    if code is None:
        link = f"open as an administrator of {found.host}:\n\n  {authorize_link(found, oauth, state)}\n"
        click.echo(link, err=as_json)
        code = click.prompt("the address that it redirected to", type=Words(CODE_LENGTH), err=as_json)
        code = operation.code_of(code, found, state)
    else:
        code = operation.code_of(code, found, None)
    grant = await operation.login(found, account_records(store_url), code, clock=_utc_now)
    await _audit(name, store_url)
    if as_json:
        print_json({"account": name, "expires_at": rfc3339(grant.expires_at)})
    else:
        click.echo(f"{name}: access is granted; its token is renewed before {local(grant.expires_at, seconds=True)}")


async def _audit(name: str, store_url: StoreUrl) -> None:
    """Have the audit know of it; before the first start there is none, and the grant is stored all the same."""
    try:
        async with visiting(store_url) as store:
            await operation.audit_login(store, name, by=operator())
    except (ConfigurationError, StoreError) as error:
        note(f"not in the audit: {error}")


def _named(known: Mapping[str, Account], name: str) -> Account:
    if name not in known:
        raise NotFoundError(f"no account {name!r} (known: {', '.join(known) or 'none'})")
    return known[name]


def _utc_now() -> datetime:
    return datetime.now(UTC)
