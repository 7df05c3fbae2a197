"""A desk elsewhere: what is asked of its API, and a line for each way in which that fails."""

import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer

from relay import __version__
from relay.cli import NotDone
from relay.cli.remote import remote_desk
from relay.errors import BadCursor, ConflictError, NotAllowed, NotFoundError, RelayError
from relay.model import State
from relay.operations.deliveries import DELIVERIES, Deliveries
from relay.operations.documents.encoding import encode
from relay.operations.documents.listing import Listing
from relay.operations.documents.targets import PauseDocument
from relay.operations.pause import PAUSE, Pause
from relay.operations.reading import InvalidParameters
from tests.cli.conftest import Run

TOKEN = "rt_5f0c21aa_canary-of-a-secret"
DONE = PauseDocument(target="ware/house", paused=True, changed=True)
HOUSE = Pause(target="ware/house")


class Fake:
    """A relay that answers as the test says, and keeps what it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.answers: list[web.Response] = []
        self.context: ssl.SSLContext | None = None
        self._monkeypatch = monkeypatch
        self._server: TestServer | None = None

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        self.bodies.append(await request.read())
        return self.answers.pop(0)

    async def url(self) -> str:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._server = TestServer(app, scheme="https" if self.context else "http", host="localhost")
        await self._server.start_server(ssl=self.context)
        return str(self._server.make_url("")).rstrip("/")

    async def ask(self, *answers: web.Response, operation: Any = PAUSE, asked: Any = HOUSE) -> Any:
        self.answers += answers
        async with remote_desk(self.address if self._server else await self.url()) as desk:
            return await desk.ask(operation, asked)

    @property
    def address(self) -> str:
        assert self._server
        return str(self._server.make_url("")).rstrip("/")

    async def close(self) -> None:
        if self._server:
            await self._server.close()


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fake]:
    monkeypatch.setenv("RELAY_TOKEN", TOKEN)
    monkeypatch.delenv("RELAY_CA", raising=False)
    monkeypatch.setattr("relay.cli.remote.LOOK_EVERY", 0.0)
    made = Fake(monkeypatch)
    yield made
    await made.close()


def json(document: object, status: int = 200, content_type: str = "application/json") -> web.Response:
    return web.Response(body=encode(document), status=status, content_type=content_type)


def problem(kind: str, status: int, detail: str) -> web.Response:
    found = {"type": f"urn:amocrm-relay:problem:{kind}", "title": kind, "status": status, "detail": detail}
    return json(found, status, "application/problem+json")


# ---- what is asked


async def test_an_act_is_a_request_with_its_names_in_the_path_and_a_key(fake: Fake) -> None:
    assert await fake.ask(json(DONE), asked=Pause(target="ware/house", reason="a disk")) == DONE
    [asked] = fake.asked
    assert (asked.method, asked.raw_path) == ("PUT", "/api/v1/targets/ware%2Fhouse/pause")
    assert fake.bodies == [b'{"reason":"a disk"}']
    assert asked.headers["authorization"] == f"Bearer {TOKEN}" and len(asked.headers["idempotency-key"]) == 36


async def test_what_has_its_default_is_not_asked_for(fake: Fake) -> None:
    """So that a parameter that an older relay does not know matters only to those who use it."""
    since = datetime(2026, 11, 30, 12, 0, 0, 123456, tzinfo=UTC)
    asked = Deliveries(state=(State.DEAD, State.PENDING), since=since)
    assert await fake.ask(json(Listing(data=())), operation=DELIVERIES, asked=asked) == Listing(data=())
    [request] = fake.asked
    assert request.path == "/api/v1/deliveries"
    assert sorted(request.query.items()) == [
        ("since", "2026-11-30T12:00:00.123Z"),
        ("state", "dead"),
        ("state", "pending"),
    ]
    assert "idempotency-key" not in request.headers


async def test_an_act_that_takes_long_is_looked_after_until_it_ends(
    fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    act = {"act": "a-1", "operation": "pause", "state": "running", "began_at": "2026-11-30T12:00:00Z"}
    running, done = json(act), json(act | {"state": "done", "document": DONE})
    assert await fake.ask(json({"act": "a-1"}, 202), running, done) == DONE
    assert [each.path for each in fake.asked][1:] == ["/api/v1/acts/a-1"] * 2
    assert "goes on if this is interrupted: act a-1" in capsys.readouterr().err
    failed = act | {"state": "failed", "problem": {"type": "urn:amocrm-relay:problem:conflict", "detail": "no"}}
    with pytest.raises(ConflictError, match=r"^no$"):
        await fake.ask(json({"act": "a-1"}, 202), json(failed))
    with pytest.raises(NotDone, match="the relay ended in its midst"):
        await fake.ask(json({"act": "a-1"}, 202), json(act | {"state": "interrupted"}))


# ---- what is said if it is not done


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("not-found", 404, NotFoundError),
        ("bad-cursor", 400, BadCursor),
        ("conflict", 409, ConflictError),
        ("not-allowed", 403, NotAllowed),
        ("invalid-parameters", 400, InvalidParameters),
        ("of-tomorrow", 418, RelayError),
    ],
)
async def test_an_error_is_the_same_one_with_the_same_text(
    kind: str, status: int, error: type[RelayError], fake: Fake
) -> None:
    openapi = [json({"info": {"version": "9"}, "paths": {"/targets/{target}/pause": {"put": {}}}})]
    with pytest.raises(RelayError) as raised:
        await fake.ask(problem(kind, status, "no target 'x'"), *(openapi if status == 404 else []))
    assert (type(raised.value), str(raised.value)) == (error, "no target 'x'")


def text(status: int, said: str = "", **headers: str) -> web.Response:
    return web.Response(status=status, text=said, headers=headers)


OTHERS = [
    (text(401, "this needs a token\n"), "the token in RELAY_TOKEN is not one of its: was it replaced or removed?"),
    (problem("unauthorized", 401, "x"), "the token in RELAY_TOKEN is not one of its: was it replaced or removed?"),
    (problem("unauthorized", 401, "this token of olga expired at noon"), "this token of olga expired at noon"),
    (problem("locked-out", 429, "too many wrong tokens; wait"), "too many wrong tokens; wait"),
    (text(200, "<h1>Hello</h1>"), "answered 200, <h1>Hello</h1>: is it a relay's --admin address?"),
    (text(502, "Bad Gateway\n\nnginx"), "answered 502, Bad Gateway: is it a relay's --admin address?"),
    (text(302, "", Location="https://login.example/"), "answered 302, nothing more: is it a relay's --admin address?"),
    (json({"target": 7}), f"in a form that this command does not know (.*): use version {__version__} on both sides"),
    (web.Response(body=b"{", content_type="application/json"), "in a form that this command does not know"),
]


@pytest.mark.parametrize(("answer", "said"), OTHERS)
async def test_what_is_no_answer_of_a_relay_is_one_line(answer: web.Response, said: str, fake: Fake) -> None:
    with pytest.raises(NotDone) as raised:
        await fake.ask(answer)
    line = str(raised.value)
    assert fake.address in line and "\n" not in line and "canary" not in line
    pattern = said.replace("(.*)", "\0")
    before, _, after = pattern.partition("\0")
    assert before in line and after in line


async def test_without_a_token_it_is_asked_for(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RELAY_TOKEN")
    with pytest.raises(NotDone, match=r"wants a token: set RELAY_TOKEN$"):
        await fake.ask(text(401, "this needs a token\n"))
    assert "authorization" not in fake.asked[0].headers


async def test_a_relay_that_is_older_than_the_command_is_told_from_none(fake: Fake) -> None:
    with pytest.raises(
        NotDone, match=r"is of version 0\.9\.0 and has no PUT /targets/{target}/pause: this command is of"
    ):
        await fake.ask(problem("not-found", 404, "x"), json({"info": {"version": "0.9.0"}, "paths": {}}))
    with pytest.raises(NotDone, match="answered 404, not found; there are: is it a relay's --admin address"):
        await fake.ask(text(404, "not found; there are\nGET /metrics"), text(404))


async def test_a_relay_that_is_not_there_is_one_line(fake: Fake) -> None:
    url = await fake.url()
    await fake.close()
    with pytest.raises(NotDone, match=rf"^no relay answers at {url} \(Connection refused\): is it running\?"):
        async with remote_desk(url) as desk:
            await desk.ask(PAUSE, Pause(target="x"))


async def test_a_connection_that_breaks_is_one_line(fake: Fake) -> None:
    class Broken(web.Response):
        async def prepare(self, request: Any) -> Any:
            request.transport.close()
            return await super().prepare(request)

    with pytest.raises(NotDone, match=r"^no relay answers at .* \(Server disconnected\)"):
        await fake.ask(*[Broken() for _ in range(4)])  # aiohttp repeats a PUT that is lost


async def test_a_certificate_is_verified_and_its_ca_can_be_named(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    fake.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(fake.context)
    with pytest.raises(
        NotDone, match=r"the certificate of https://localhost:\d+ is not trusted \(.+\): name its CA by"
    ):
        await fake.ask(json(DONE))
    assert not fake.asked, "the token was not sent"
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca)
    monkeypatch.setenv("RELAY_CA", str(ca))
    assert await fake.ask() == DONE


# ---- the flags


@pytest.mark.parametrize(
    "url",
    [
        "relay.example",
        "ftp://relay.example",
        "https://",
        "https://ann:secret@relay.example",
        "https://r/?a=1",
        "http://r:0",
    ],
)
def test_a_url_that_is_none_is_misuse(url: str, run: Run) -> None:
    ended = run("pause", "warehouse", "--relay", url)
    assert ended.exit_code == 2 and "secret" not in ended.output.replace("RELAY_TOKEN", "")


def test_a_flag_of_this_machine_and_one_of_another_are_misuse(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = "http://127.0.0.1:1"
    for flag in (["--store", "sqlite:///relay.db"], ["--config", "routes.yaml"]):
        ended = run("pause", "warehouse", "--relay", nowhere, *flag)
        assert ended.exit_code == 2 and f"{flag[0]} is of this machine" in ended.stderr
    monkeypatch.setenv("RELAY_URL", nowhere)
    assert "no relay answers at http://127.0.0.1:1" in run("pause", "warehouse").stderr
    here = run("pause", "warehouse", "--store", "sqlite:///relay.db")
    assert here.stderr.startswith("relay: no store at"), "a flag wins over the variable"
    ended = run("backup", "copy.db")
    assert ended.exit_code == 1 and ended.stderr.startswith(f"relay: RELAY_URL names the relay at {nowhere}")
    assert run("backup", "copy.db", "--store", "sqlite:///relay.db").stderr.startswith("relay: no store at")
