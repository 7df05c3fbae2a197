"""`relay.operations.setting_changes`: what else than its routes an edit changes, and what that gives away."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from relay.operations.asker import Asker, Role
from relay.operations.desk import Desk
from relay.operations.routes import DIFF, Diff
from relay.operations.setting_changes import setting_changes
from relay.routes.config import Config, parse
from relay.routes.diagnostics import Where
from relay.routes.redaction import RedactedLines
from relay.store.contract import Archive
from tests.cli.conftest import NOON

TEXT = """\
version: 1
sources:
  crm: {token: [4f6b0c1d2e3f4a5b6c7d8e9f, "${OTHER}"], dedupe: 1h}
defaults: {proxy: "http://user:hunter2@proxy.example:3128", timeout: 5s}
targets:
  bot:
    url: https://bot.example/hunter2
    headers: {Authorization: "Bearer ${KEY}", X-Organisation-Access-Id: "7", X-Short: "${SHORT}"}
    query: {api_key: 12345}
    secret: c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA==
    timeout: 15s
  talk:
    url: ${TALK}
    body: |
      {"text": "{{ data.id }}", "link": "https://crm.example/leads"}
    oauth2: {token_url: "https://id.example/token", client_id: relay, client_secret: hunter2}
notify:
  - to: {telegram: {token: "123456:AAHhunter2hunter2hunter2hunter2hunter2", chat_id: 5}}
routes:
  - {name: all, otherwise: true, to: [bot, talk]}
"""
CONFIG = parse(TEXT, file="routes.yaml", env={}, stand_ins=True, sealed=True)
SHOWN = RedactedLines(CONFIG.text)


def test_the_file_itself_changes_nothing_for_whoever_has_it() -> None:
    assert setting_changes(CONFIG, CONFIG) == ()


@pytest.mark.parametrize("where", sorted(SHOWN.hidden, key=str), ids=str)
def test_a_guess_of_what_is_hidden_is_a_change_whether_it_is_right_or_wrong(where: Where) -> None:
    right, wrong = (
        masked(but=where, has=value) for value in (CONFIG.document.as_written(where), "a guess that is wrong")
    )
    assert setting_changes(CONFIG, right, guarded=True) == setting_changes(CONFIG, wrong, guarded=True)
    assert [each.section for each in setting_changes(CONFIG, right, guarded=True)] == [where[0]]


@pytest.mark.parametrize("key", sorted(SHOWN.hidden_keys, key=str), ids=str)
def test_a_guess_of_a_hidden_key_is_a_change_too(key: Where) -> None:
    right, wrong = masked(key=str(key[-1])), masked(key="X-Wrong")
    assert setting_changes(CONFIG, right, guarded=True) == setting_changes(CONFIG, wrong, guarded=True) != ()


def test_what_is_masked_is_no_change() -> None:
    assert setting_changes(CONFIG, masked(), guarded=True) == ()
    assert setting_changes(CONFIG, masked()) == ()


def masked(*, but: Where = (), has: Any = None, key: str = "masked-1") -> Config:
    """The file as it is shown, with something else at one place, or as the name of its hidden header."""
    config = CONFIG
    for each in SHOWN.hidden:
        config = edited(config, each, has if each == but else "***")
    [hidden] = SHOWN.hidden_keys
    return called(config, hidden, key)


def edited(config: Config, where: Where, value: Any) -> Config:
    """With another value at one place."""
    whole = deepcopy(config.document.value)
    _above(whole, where)[where[-1]] = value
    written = {place: text for place, text in config.document.written.items() if place != where}
    return replace(config, document=replace(config.document, value=whole, written=written))


def called(config: Config, where: Where, name: Any) -> Config:
    """With another key at one place."""
    whole = deepcopy(config.document.value)
    pairs = _above(whole, where)
    pairs[name] = pairs.pop(where[-1])
    return replace(config, document=replace(config.document, value=whole))


def _above(value: Any, where: Where) -> Any:
    for part in where[:-1]:
        value = value[part]
    return value


async def test_a_viewers_right_guess_is_a_change_and_an_operators_same_file_none(store: Archive) -> None:
    """An operator who asks from afar gets what `relay check --diff` says on the relay's machine."""
    asked = Diff(text=TEXT, since=NOON)
    changed = {
        role: (
            await Desk(store, Asker(name="ann", role=role, payloads=True), config=lambda: CONFIG).ask(DIFF, asked)
        ).settings
        for role in Role
    }
    assert changed[Role.OPERATOR] == ()
    assert "bot" in {each.name for each in changed[Role.VIEWER]}
