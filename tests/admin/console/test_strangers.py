"""Strangers' text on every page: it is text. And a secret of the routes file, of a token or a cookie is on none."""

import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import pytest

from relay.amocrm import events, form
from relay.errors import UnreadableError
from relay.model import Dead, Reason, Webhook
from relay.operations.status import MISADDRESSED, UNAUTHORIZED
from relay.rfc3339 import rfc3339
from relay.routes import config as routes_file
from relay.routes.config import Config
from relay.routes.plan import plan
from relay.store.contract import Archive
from relay.store.records import AuditEntry
from tests.admin.console.conftest import OPERATOR, Client
from tests.admin.console.test_access import ACTS, READ, filled
from tests.cli.conftest import NOON, ROUTES, SECRETS, Attempt, claimed_at_insert, event_of, settle

MARK = "xss7"
CORPUS = [
    "<script>xss7()</script>",
    '"><img src=x onerror=xss7()>',
    "' onmouseover='xss7()",
    '" autofocus onfocus="xss7()',
    "javascript:xss7()",
    "</textarea><svg onload=xss7()>",
    "</title><script>xss7</script>",
    "</pre></code></td><iframe srcdoc='xss7'>",
    "<!--xss7",
    "]]><xss7>",
    "{{ 7 * 191 }}xss7{% raw %}",
    "&lt;script&gt;xss7&lt;/script&gt;",
    "<a href=javascript:xss7()>x</a>",
    "<xss7 style=position:fixed>",
    "<form action=https://evil.example/xss7><button>x",
    "<meta http-equiv=refresh content='0;url=//evil.example/xss7'>",
    "<base href=//evil.example/xss7>",
    "\u202exss7\u2066",
    "\x1b]8;;https://evil.example\x07xss7",
    "xss7\r\nSet-Cookie: xss7=1",
    "%3Cscript%3Exss7",
    "${xss7}",
]

HOSTILE_ROUTES = ROUTES.replace(
    "match: {entity: leads, action: [call_in, mail_in]}",
    "match: {entity: leads, name: '<script>xss7()</script>', action: '<img src=x onerror=xss7()>'}",
)


def id_of(number: int) -> str:
    return f"019ac000-{number:04x}-7000-8000-000000000000"


FIRST = id_of(0)


@pytest.fixture
def config(folder: Path) -> Config:
    """Routes with strangers' text where there may be any."""
    file = folder / "routes.yaml"
    file.write_text(HOSTILE_ROUTES)
    return routes_file.load(file, SECRETS)


@pytest.fixture
async def strangers(store: Archive, config: Config) -> None:
    """Everywhere that a stranger writes, or a target, or an operator: something of the corpus."""
    for number, text in enumerate(CORPUS):
        await hostile(store, config, number, text)
    act = AuditEntry(id=id_of(900), at=NOON, who=CORPUS[0], command="pause", details={"reason": CORPUS[1], "x": CORPUS})
    await store.pause("warehouse", act)
    now = rfc3339(NOON)
    for name, fields in (
        (MISADDRESSED, {"address": CORPUS[0], "detail": CORPUS[1]}),
        (UNAUTHORIZED, {"detail": CORPUS[0], "remote": CORPUS[1]}),
    ):
        await store.publish(name, {"count": 3, "since": now, "last_at": now, **fields}, now=NOON)


async def hostile(store: Archive, config: Config, number: int, text: str) -> None:
    item = {"id": text if number % 2 else str(number), "name": text, "note": text, text: text, "status_id": "16203337"}
    tree = {
        "leads" if number % 3 else text: {"status" if number % 3 else "add": {"0": item}},
        "account": {"subdomain": text, "id": "1", "_links": {"self": f"https://{text}"}},
    }
    webhook = Webhook(
        id=id_of(number),
        source="crm",
        received_at=NOON + timedelta(seconds=number),
        body=form.encode(tree),
        content_type=text,
        request_id=text,
        query=f"a={text}",
        signature=text,
    )
    try:
        found = events.read(
            form.decode(webhook.body), source="crm", received_at=NOON, new_id=lambda: event_of(webhook.id), query="a=1"
        )
    except UnreadableError as error:
        await store.keep(replace(webhook, unparsed=f"{error} {text}"), [])
        return
    routed = [claimed_at_insert(plan(each, config)) for each in found]
    for delivery in await store.keep(webhook, routed):
        await settle(store, delivery, Attempt(reason=Reason.CLIENT_ERROR, verdict=Dead(text), status=400, detail=text))
    raw = replace(webhook, id=id_of(100 + number), body=f"{text}{number}".encode(), unparsed=text)
    await store.keep(raw, [])


class Injected(HTMLParser):
    """What of a page is neither text nor ours."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in {"iframe", "img", "base", "object", "embed", "style", MARK} or MARK in tag:
            self.found.append(tag)
        if tag == "script" and not given.get("src", "").startswith("/static/"):
            self.found.append("script")
        if tag == "meta" and given.get("http-equiv", "").lower() not in ("", "refresh"):
            self.found.append("meta")
        for name, value in given.items():
            if name.startswith("on") or name == "style" or MARK in name:
                self.found.append(f"{tag} {name}")
            if name in ("href", "src", "action", "formaction") and re.match(r"\s*(javascript|data|vbscript):", value):
                self.found.append(f"{tag} {name}={value}")
            if name in ("href", "action") and value.startswith("//"):
                self.found.append(f"{tag} {name}={value}")

    def handle_comment(self, data: str) -> None:
        self.found.append(f"comment {data}")


@pytest.mark.usefixtures("strangers")
@pytest.mark.parametrize("path", READ)
async def test_strangers_text_is_text_on_every_page(path: str, browser: Client) -> None:
    addresses = [named(path, number) for number in range(len(CORPUS))] if "{" in path else [path]
    shown = 0
    for address in addresses:
        for query in ("", *(f"?{queried(path, text)}" for text in CORPUS[:: 5 if "{" in path else 1])):
            answer = await browser.get(f"{address}{query}", headers={"Accept": "text/html"})
            if answer.content_type != "text/html":
                continue
            page = await answer.text()
            assert answer.status < 500, page
            assert not Injected(page).found, address
            assert not re.search("[\x1b\x07\u202e\u2066]", page)
            shown += MARK in page
    assert shown or path in {"/about", "/relays", "/favicon.svg", "/login", "/preferences", "/heal", "/refused"}


def named(path: str, number: int) -> str:
    """A page about what the corpus is in, by its id; or by the text itself."""
    text = quote(CORPUS[number], safe="")
    ids = {"/events/{id}": event_of(id_of(number)), "/webhooks/{id}": id_of(100 + number if number % 2 else number)}
    return path.replace("{id}", ids.get(path, text)).replace("{target}", "warehouse" if number % 2 else text)


def queried(path: str, text: str) -> str:
    name = {"/search": "q", "/acts": "who", "/deliveries": "target"}.get(path, "source")
    return f"{name}={quote(text, safe='')}&next={quote(text, safe='')}"


@pytest.mark.usefixtures("strangers")
@pytest.mark.parametrize("path", ACTS)
async def test_strangers_text_in_a_form_is_text_on_the_page_after_it(path: str, browser: Client) -> None:
    for text in CORPUS:
        names = (
            "target",
            "reason",
            "id",
            "state",
            "rate",
            "text",
            "body",
            "source",
            "count",
            "back",
            "next",
            "charset",
        )
        answer = await browser.post(filled(path), data={**dict.fromkeys(names, text), "key": text})
        page = await answer.text()
        assert answer.status < 500, page
        assert answer.url.host == "127.0.0.1" and MARK not in answer.cookies
        if answer.content_type == "text/html":
            assert not Injected(page).found


async def test_these_tests_would_find_what_is_not_escaped() -> None:
    for text in ("<script>xss7()</script>", '<p title="" onfocus="x">', "<xss7>", "<a href=javascript:x>", "<!--x-->"):
        assert Injected(f"<p>{text}</p>").found


# ---- secrets

CANARIES = [*SECRETS.values(), *(each["Authorization"].removeprefix("Bearer ") for each in [OPERATOR])]


@pytest.mark.parametrize("path", READ)
async def test_no_page_shows_a_secret(path: str, guarded: Client) -> None:
    for query in ("", "?source=crm", "?target=warehouse", "?id=4831596", "?q=warehouse"):
        answer = await guarded.get(f"{filled(path)}{query}", headers=OPERATOR | {"Accept": "text/html"})
        said = f"{answer.headers} {await answer.text()}"
        assert answer.status < 500
        assert not [each for each in CANARIES if each in said or quote(each, safe="") in said]
