"""`relay send`: an event type and some fields -> the webhook amoCRM would post, and what the relay answered."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import click

from relay.amocrm import form, sample_bodies
from relay.amocrm.vocabulary import WON_AND_LOST
from relay.cli.amocrm_post import RelayAnswer, headers, post
from relay.cli.flag_types import Address, Whole, web_address
from relay.cli.options import listen_option
from relay.cli.output import counted
from relay.cli.routes_file import config_option, load
from relay.cli.show import readable
from relay.delivery.payload import with_query
from relay.model import Source
from relay.printable import printable
from relay.routes.fields import is_status

AMOCRM_TIMEOUT = 2.0  # seconds
MOST_SHOWN = 10
"""Of more posts than that only the first is shown, and a summary."""


def query_text(text: str) -> str:
    """A query as it goes into an address, with or without its `?`; anything else is misuse."""
    query = text.removeprefix("?")
    if not query.isascii() or not query.isprintable() or any(each in query for each in ' #"<>'):
        raise click.BadParameter("not a query like try=1&step=2: escape what is not ASCII, a space as %20")
    return query


def fields(texts: Sequence[str]) -> dict[str, str]:
    """`("old_status_id=won",)` -> {"old_status_id": "142"}; a name may be a dotted path."""
    pairs = [text.partition("=") for text in texts]
    if wrong := [name for name, equals, _ in pairs if not name or not equals]:
        raise click.BadParameter(f"{wrong[0]!r} is not NAME=VALUE", param_hint="--set")
    if wrong := [name for name, _, _ in pairs if "[" in name or "]" in name]:
        dotted = wrong[0].replace("]", "").replace("[", ".")
        raise click.BadParameter(f"{wrong[0]!r}: write a path with dots, like {dotted}", param_hint="--set")
    return {name: WON_AND_LOST.get(value, value) if is_status(name) else value for name, _, value in pairs}


@click.command("send")
@click.option(
    "--event", type=click.Choice(sample_bodies.TYPES), metavar="TYPE", help=f"One of {', '.join(sample_bodies.TYPES)}."
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Give a field of the event this value; a dotted path goes deeper: tags.0.name=web.",
)
@click.option("--account", metavar="ID|SUBDOMAIN", help="Whose webhook it is; ID/SUBDOMAIN for both.")
@click.option("--body", type=click.File("rb"), metavar="FILE", help="Post these bytes instead; - is standard input.")
@click.option(
    "--url",
    type=web_address("https://relay.example/hooks/crm/TOKEN"),
    metavar="URL",
    help="Post there.  [default: the intake of the routes file's source]",
)
@click.option("--source", metavar="NAME", help="Which source, if the routes file has several.")
@click.option(
    "--token", "place", type=Whole(1), metavar="N", help="By the N-th of the source's tokens in the routes file.  [1]"
)
@click.option("--query", type=query_text, metavar="QUERY", default="", help="Append it to the address: try=1.")
@listen_option("Where the relay listens.")
@config_option
@click.option(
    "--count", type=Whole(1), default=1, metavar="N", help="Post it so many times, with a summary if over 10."
)
@click.option("--dry-run", is_flag=True, help="Print what would be posted, and post nothing.")
def send(
    event: str | None,
    settings: Sequence[str],
    account: str | None,
    body: BinaryIO | None,
    url: str | None,
    source: str | None,
    place: int | None,
    query: str,
    listen: Address,
    config_path: Path,
    count: int,
    dry_run: bool,
) -> None:
    """Post a webhook exactly as amoCRM would.

    \b
    relay send --event leads.status --set pipeline_id=7 --set status_id=won
    relay send --event contacts.add --set name="Ann Example" --dry-run
    relay send --event leads.add --query try=1
    relay send --event leads.add --token 2    while the token is changed
    relay send --body body.form --url https://relay.example/hooks/crm/TOKEN
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    if (event is None) == (body is None):
        raise click.UsageError("say what to post: --event TYPE, or --body FILE")
    if body is not None and (settings or account):
        raise click.UsageError("--set and --account are for --event: the bytes of --body go as they are")
    given = fields(settings)
    if url is None:
        chosen = _source(config_path, source)
        account = account or min(chosen.accounts, default=None)
        url = f"http://{_reachable(listen)}/hooks/{chosen.name}/{_token(chosen, place or 1)}"
        if len(chosen.tokens) > 1:
            click.echo(f"by token {place or 1} of the {len(chosen.tokens)} of source {chosen.name}")
    elif place:
        raise click.UsageError("--token is for the routes file's sources: --url has its token in it")
    url = with_query(url, query)
    content = body.read() if body else _sample(event or "", given, account)
    if dry_run:
        _print_request(url, _headers_for(content), content)
        return
    raise click.exceptions.Exit(0 if _post_all(url, content, count) else 1)


# ---- what and where


def _sample(event: str, given: dict[str, str], account: str | None) -> bytes:
    id_, _, subdomain = (account or sample_bodies.ACCOUNT_ID).partition("/")
    if not id_.isdecimal():
        id_, subdomain = sample_bodies.ACCOUNT_ID, id_
    return form.encode(
        sample_bodies.body(event, fields=given, account_id=id_, subdomain=subdomain or sample_bodies.SUBDOMAIN)
    )


def _source(config_path: Path, name: str | None) -> Source:
    sources = load(config_path).sources
    if name is None and len(sources) == 1:
        return next(iter(sources.values()))
    if name is None or name not in sources:
        raise click.UsageError(f"say which source: --source, one of {', '.join(sources)}; or give --url")
    return sources[name]


def _token(source: Source, place: int) -> str:
    if place > len(source.tokens):
        tokens = f"{len(source.tokens)} token{'s' * (len(source.tokens) != 1)}"
        raise click.BadParameter(f"the source {source.name} has {tokens}", param_hint="--token")
    return source.tokens[place - 1].reveal()


def _reachable(listen: Address) -> Address:
    """An address to connect to: a server may listen on all, nobody can connect to all."""
    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  compared, not listened on
    return listen._replace(host=loopback.get(listen.host, listen.host))


# ---- the posts


def _post_all(url: str, body: bytes, count: int) -> bool:
    """Post one after another and print; True if each answer is a 200. A summary also if one gets no answer."""
    answers: list[RelayAnswer] = []
    try:
        while len(answers) < count:
            answers.append(_posted(url, body, shown=count <= MOST_SHOWN or not answers))
    finally:
        if count > MOST_SHOWN and answers:
            click.echo(_summary(answers))
    return all(answer.good for answer in answers)


def _summary(answers: Sequence[RelayAnswer]) -> str:
    """`1000 posted: 998 answered 200, 2 answered 503; 3 duplicates; 2 ms each, at most 31 ms`."""
    statuses = sorted(Counter(answer.status for answer in answers).items())
    took = [answer.took * 1000 for answer in answers]
    parts = [", ".join(f"{number} answered {status}" for status, number in statuses)]
    if duplicates := sum(answer.duplicate for answer in answers):
        parts.append(counted(duplicates, "duplicate"))
    if late := sum(answer.took > AMOCRM_TIMEOUT for answer in answers):
        parts.append(f"{late} after over 2 s, which amoCRM would have counted as failures")
    parts.append(f"{sum(took) / len(took):.0f} ms each, at most {max(took):.0f} ms")
    return f"{len(answers)} posted: {'; '.join(parts)}"


def _posted(url: str, body: bytes, *, shown: bool) -> RelayAnswer:
    """Post, and print request and answer if they are to be shown."""
    sent = _headers_for(body)
    if shown:
        _print_request(url, sent, body)
    answer = post(url, sent, body)
    if shown:
        _print_answer(url, answer)
    return answer


def _print_request(url: str, sent: Mapping[str, str], body: bytes) -> None:
    click.echo(f"POST {masked(url)}")
    for name, value in sent.items():
        click.echo(f"{name}: {value}")
    click.echo(f"\n{readable(body)}\n")


def _print_answer(url: str, answer: RelayAnswer) -> None:
    click.echo(f"{answer.status} after {answer.took * 1000:.0f} ms: {_safe(answer.body, url)}")
    if answer.duplicate:
        click.echo("it is a duplicate of one stored before: change it to post another, like --set id=7", err=True)
    if answer.took > AMOCRM_TIMEOUT:
        click.echo("amoCRM waits 2 s: it would have counted this as a failure", err=True)


def _headers_for(body: bytes) -> dict[str, str]:
    return {"Content-Length": str(len(body)), **headers()}


# ---- what may be seen


def masked(url: str) -> str:
    """The address without its secrets: `http://127.0.0.1:8080/hooks/crm/***`."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    path = re.match("/hooks/[^/]+/", parts.path)
    return printable(f"{parts.scheme}://{host}{path[0] if path else '/'}***")


def _safe(answer: bytes, url: str) -> str:
    token = urlsplit(url).path.rpartition("/")[2]
    text = answer.decode(errors="backslashreplace")
    return printable(text.replace(token, "***") if token else text)
