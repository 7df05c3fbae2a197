"""Role × operation × front end: the desk, the API, and a command that asks from afar say the same."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import orjson
import pytest
from click.testing import Result

from relay.amocrm import form, sample_bodies
from relay.cli.remote import remote_desk
from relay.errors import NotAllowed, RelayError
from relay.operations.asker import Asker, Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.encoding import encode
from relay.operations.registry import OPERATIONS
from relay.routes.config import Config
from relay.store.contract import Archive
from tests.admin.api.conftest import OPERATOR, VIEWER, Client
from tests.cli.conftest import CONTACT, GARBLED, OFFER, ROUTES, Run, event_of
from tests.cli.conftest import run as run

Asked = Operation[Any, Any]
TOKENS = {Role.OPERATOR: OPERATOR, Role.VIEWER: VIEWER}
NAMES = {Role.OPERATOR: "RELAY_ADMIN_TOKEN", Role.VIEWER: "RELAY_VIEWER_TOKEN"}
FRONT_ENDS = ["desk", "api", "remote"]

each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
each_role = pytest.mark.parametrize("role", Role)


class FrontEnds:
    """One relay, asked in each way."""

    def __init__(self, store: Archive, config: Config, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        self._store = store
        self._config = config
        self._client = client
        self._monkeypatch = monkeypatch
        self.url = str(client.make_url("")).rstrip("/")

    async def ask(self, front_end: str, role: Role, operation: Asked, asked: Any) -> Any:
        """The document as JSON; raises the error."""
        match front_end:
            case "desk":
                return await self._at_the_desk(role, operation, asked)
            case "api":
                return await self._by_http(role, operation, asked)
            case _:
                self.use_token(role)
                async with remote_desk(self.url) as desk:
                    return orjson.loads(encode(await desk.ask(operation, asked)))

    def use_token(self, role: Role) -> None:
        self._monkeypatch.setenv("RELAY_TOKEN", TOKENS[role]["Authorization"].removeprefix("Bearer "))

    async def _at_the_desk(self, role: Role, operation: Asked, asked: Any) -> Any:
        asker = Asker(name=NAMES[role], role=role, payloads=role is Role.OPERATOR)
        desk = Desk(self._store, asker, config=lambda: self._config)
        return orjson.loads(encode(await desk.ask(operation, asked)))

    async def _by_http(self, role: Role, operation: Asked, asked: Any) -> Any:
        answer = await self.request(operation, asked, TOKENS[role])
        found = json.loads(await answer.text())
        if answer.status in (200, 202):
            return found
        raise NotAllowed(found["detail"]) if answer.status == 403 else RelayError(found["detail"])

    async def request(self, operation: Asked, asked: Any, headers: dict[str, str]) -> Any:
        given = {name: value for name, value in orjson.loads(encode(asked)).items() if value not in (None, [])}
        path = operation.path
        for name in [each for each in given if f"{{{each}}}" in path]:
            path = path.replace(f"{{{name}}}", str(given.pop(name)))
        query = {name: str(value).lower() if isinstance(value, bool) else value for name, value in given.items()}
        body = {"params": query} if operation.method == "GET" else {"json": given}
        return await self._client.request(operation.method, f"/api/v1{path}", headers=headers, **body)


@pytest.fixture
async def front_ends(
    store: Archive, config: Config, client: Client, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FrontEnds]:
    yield FrontEnds(store, config, client, monkeypatch)


def sample(kind: Any) -> Any:
    """Parameters with what they need: names and ids of what there is."""
    hints = get_type_hints(kind)
    needed = [each.name for each in fields(kind) if each.default is MISSING and each.default_factory is MISSING]
    return kind(**{name: _value(name, hints[name]) for name in needed})


def _value(name: str, hint: Any) -> Any:
    kinds = [get_origin(each) or each for each in (hint, *get_args(hint)) if each is not type(None)]
    kind = next((each for each in kinds if isinstance(each, type)), str)
    if is_dataclass(kind):
        return sample(kind)
    if issubclass(kind, Enum):
        return next(iter(kind))
    known = {"target": "warehouse", "source": "crm", "id": "4831596", "entity": "leads", "event": event_of(OFFER)}
    values = {bool: False, int: 1, float: 1.0, tuple: (event_of(OFFER),), datetime: datetime(2026, 11, 1, tzinfo=UTC)}
    return values.get(kind, known.get(name, OFFER))


# ---- role × operation × front end

NEEDS_PAYLOADS = {
    "diff": "RELAY_VIEWER_TOKEN sees no field values: to try other routes on stored events needs them",
}
"""Questions that a viewer without payloads is refused, since their answers give values away."""


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@each_operation
async def test_a_viewer_asks_every_question_and_does_no_act(
    operation: Asked, front_end: str, front_ends: FrontEnds, store: Archive
) -> None:
    asked, before = sample(operation.parameters), await store.status()
    try:
        await front_ends.ask(front_end, Role.VIEWER, operation, asked)
        allowed = True
    except NotAllowed as error:
        allowed = False
        assert str(error) == NEEDS_PAYLOADS.get(
            operation.name, f"RELAY_VIEWER_TOKEN is a viewer: this needs the role {operation.role}"
        )
    except RelayError:
        allowed = True  # it was looked for, and is not there
    assert allowed is (operation.role is Role.VIEWER and operation.name not in NEEDS_PAYLOADS)
    assert await store.audit(limit=10) == [] and (await store.status()).targets == before.targets


@each_operation
@pytest.mark.parametrize(
    "token", ["", "Bearer wrong", f"Bearer rt_00000000_{'0' * 40}", "Basic an-operator-0123456789"]
)
async def test_nobody_without_a_token_gets_an_answer(
    operation: Asked, token: str, front_ends: FrontEnds, store: Archive
) -> None:
    headers = {"Authorization": token} if token else {}
    answer = await front_ends.request(operation, sample(operation.parameters), headers)
    assert (answer.status, answer.content_type) == (401, "application/problem+json")
    assert await store.audit(limit=10) == []


@each_operation
async def test_no_page_of_another_site_asks_or_acts(operation: Asked, front_ends: FrontEnds, store: Archive) -> None:
    for foreign in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        answer = await front_ends.request(operation, sample(operation.parameters), OPERATOR | foreign)
        assert answer.status == 403 and "another site" in await answer.text()
    assert await store.audit(limit=10) == []


# ---- the same question, the same JSON


@each_role
@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if each.role is Role.VIEWER], ids=lambda each: each.name
)
async def test_the_desk_the_api_and_a_relay_elsewhere_give_the_same_json(
    operation: Asked, role: Role, front_ends: FrontEnds
) -> None:
    found = []
    for front_end in FRONT_ENDS:
        try:
            found.append(await front_ends.ask(front_end, role, operation, sample(operation.parameters)))
        except RelayError as error:
            found.append(str(error))
    assert _timeless(found[0]) == _timeless(found[1]) == _timeless(found[2])


QUESTIONS = [
    ["list", "--json"],
    ["list", "--json", "--state", "dead", "--limit", "1"],
    ["list", "--json", "--target", "warehuose"],
    ["list"],
    ["list", "--before", "nonsense"],
    ["list", "--unparsed", "--json"],
    ["list", "--unrouted", "--json"],
    ["list", "--unparsed"],
    ["show", OFFER, "--json"],
    ["show", event_of(OFFER)],
    ["show", OFFER, "--raw"],
    ["show", "019affff"],
    ["status", "--json"],
    ["attempts", "--json"],
    ["attempts", "--failed"],
    ["attempts", "--json", "--slower", "11ms", "--target", "warehouse"],
    ["story", "leads", "4831596", "--json"],
    ["replay", "--all-dead", "--dry-run", "--json"],
    ["reparse", "--all", "--dry-run", "--json"],
    ["audit", "--json"],
    ["audit"],
    ["acts"],
    ["acts", "--running", "--json"],
    ["acts", "show", "nothing"],
    ["acts", "stop", "nothing"],
    ["pause", "nowhere"],
    ["resume", "warehouse"],
    ["purge", "--dry-run"],
    ["purge", "--dry-run", "--json", "--older-than", "3650d", "--state", "dead", "--state", "unparsed"],
    ["heal", "status"],
    ["heal", "status", "--json"],
    ["heal", "status", "cmr"],
    ["heal", "run", "crm", "--since", "2h"],
    ["heal", "approve", "cmr"],
    ["guard", "resume", "cmr"],
    ["explain", OFFER],
    ["explain", OFFER, "--json"],
    ["explain", event_of(CONTACT)],
    ["explain", GARBLED],
    ["explain", "019affff"],
    ["explain", "nosuch.form"],
    ["explain", "body.form"],
    ["explain", "body.form", "--source", "cmr"],
    ["explain", "cyrillic.form"],
    ["explain", OFFER, "--query", "try=1"],
    ["check", "routes.yaml"],
    ["check", "bad.yaml"],
    ["check", "bad.yaml", "--json"],
    ["check", "new.yaml", "--json"],
    ["check", "new.yaml", "--diff", "--since", "2020-01-01"],
    ["check", "new.yaml", "--diff", "routes.yaml", "--since", "2020-01-01", "--json"],
    ["check", "bad.yaml", "--diff", "routes.yaml"],
    ["check", "new.yaml", "--diff", "bad.yaml"],
]
ACTS = [
    ["pause", "warehouse", "--reason", "a disk"],
    ["pause", "warehouse", "--json"],
    ["resume", "warehouse"],
    ["resume", "warehouse", "--json"],
    ["heal", "approve", "crm"],
    ["heal", "approve", "crm", "--json"],
    ["purge", "--older-than", "3650d"],
    ["purge", "--json", "--state", "delivered", "--older-than", "3650d"],
]


async def test_a_command_says_and_ends_the_same_here_and_from_afar(
    front_ends: FrontEnds, run: Run, folder: Path
) -> None:
    (folder / "new.yaml").write_text(ROUTES.replace("status_id: 16203337}\n", "status_id: 5}\n", 1))
    (folder / "bad.yaml").write_text(ROUTES.replace("to: sales-bot", "to: sales-bott"))
    (folder / "body.form").write_bytes(form.encode(sample_bodies.body("leads.call_in")))
    (folder / "cyrillic.form").write_bytes("leads[add][0][name]=Анна".encode("cp1251"))

    async def runs(commands: list[list[str]], *more: str) -> list[Any]:
        return [shown(await asyncio.to_thread(run, *command, *more)) for command in commands]

    front_ends.use_token(Role.OPERATOR)
    afar = "--relay", front_ends.url
    here, there = await runs(QUESTIONS), await runs(QUESTIONS, *afar)
    for command, one, other in zip(QUESTIONS, here, there, strict=True):
        assert one == other, command
    assert {code for code, _complaint, _found in here} == {0, 1, 2}
    assert await runs(ACTS) == await runs(ACTS, *afar)


def shown(ended: Result) -> tuple[int, str, Any]:
    """Exit code and output, without what depends on the time: the clock of the store there stands still."""
    try:
        found = json.loads(ended.stdout)
    except ValueError:
        return ended.exit_code, ended.stderr, re.sub(OF_THE_TIME_IN_TEXT, "", ended.stdout)
    return ended.exit_code, ended.stderr, _timeless(found)


NEW_ID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
TIMES = r"\d{4}-\d\d-\d\dT[\d:.]+Z|(webhook-timestamp|traceparent|content-length): \S+"
OF_THE_TIME_IN_TEXT = rf"(, \S+ \S+ ago|, now|attempt \d+ (is|in) .*|{NEW_ID}|{TIMES})"
OF_THE_TIME = {"webhook-timestamp", "next_step", "at", "as_of", "seen_at", "disk"}


def _timeless(found: Any) -> Any:
    if isinstance(found, dict):
        return {name: _timeless(each) for name, each in found.items() if name not in OF_THE_TIME}
    return [_timeless(each) for each in found] if isinstance(found, list) else found


async def test_a_viewer_at_a_command_sees_masks_and_is_refused_acts(
    front_ends: FrontEnds, run: Run, store: Archive
) -> None:
    front_ends.use_token(Role.VIEWER)
    listed = await asyncio.to_thread(run, "list", "--json", "--state", "dead", "--relay", front_ends.url)
    assert [row["why"] for row in json.loads(listed.stdout)["data"]] == ["400 ***"]
    refused = await asyncio.to_thread(run, "pause", "warehouse", "--relay", front_ends.url)
    assert (refused.exit_code, refused.stderr) == (
        1,
        "relay: RELAY_VIEWER_TOKEN is a viewer: this needs the role operator\n",
    )
    assert await store.audit(limit=10) == []


async def test_who_asks_from_afar_is_in_the_audit_by_name(front_ends: FrontEnds, run: Run, store: Archive) -> None:
    front_ends.use_token(Role.OPERATOR)
    assert (await asyncio.to_thread(run, "pause", "warehouse", "--relay", front_ends.url)).exit_code == 0
    assert [each.who for each in await store.audit(limit=10)] == ["RELAY_ADMIN_TOKEN"]
