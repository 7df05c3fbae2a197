"""A target's `oauth2`: what is read, what `check` warns of, and what stands in for its secrets."""

from collections.abc import Callable

import pytest

from relay.errors import RoutesInvalid
from relay.model import ClientAuth, OAuth2
from relay.routes.config import Config, parse
from relay.routes.lint import warnings
from relay.routes.redaction import RedactedLines

ENV = {"CRM_TOKEN": "canary-crm-token-0123456789", "SECRET": "canary-secret"}
FILE = """\
version: 1
sources: {{crm: {{token: "${{CRM_TOKEN}}"}}}}
targets:
  bot:
    url: https://bot.example/in
    oauth2: {{{oauth2}}}
    {more}
routes: [{{name: all, match: {{entity: {{exists: true}}}}, to: bot}}]
"""
USUAL = 'token_url: "https://id.example/token", client_id: relay, client_secret: "${SECRET}"'

OPEN = "http to another machine shows it the client_secret: use https"
IN_THE_FILE = "a secret in the file: write ${NAME} and set the variable, or ${file:/run/secrets/name}"

TargetFile = Callable[..., Config]


def config(oauth2: str = USUAL, *, more: str = "", stand_ins: bool = False, **env: str) -> Config:
    return parse(FILE.format(oauth2=oauth2, more=more), file="routes.yaml", env=ENV | env, stand_ins=stand_ins)


def read(oauth2: str = USUAL, **env: str) -> OAuth2:
    found = config(oauth2, **env).targets["bot"].oauth2
    assert found
    return found


def warned(oauth2: str, **env: str) -> list[str]:
    return [warning.text("routes.yaml") for warning in warnings(config(oauth2, **env))]


def test_its_credentials_are_read() -> None:
    found = read(USUAL + ", scope: read write, auth: body")
    assert (found.token_url, found.scope, found.auth) == ("https://id.example/token", "read write", ClientAuth.BODY)
    assert (found.client_id.reveal(), found.client_secret.reveal()) == ("relay", "canary-secret")


def test_without_a_word_there_is_no_scope_and_http_basic() -> None:
    assert (read().scope, read().auth) == ("", ClientAuth.BASIC)


def test_an_id_may_be_a_number() -> None:
    assert read(USUAL.replace("relay", "17")).client_id.reveal() == "17"


def test_a_target_without_it_has_none(target_file: TargetFile) -> None:
    assert target_file("timeout: 5s").targets["bot"].oauth2 is None


def test_another_secret_makes_another_target() -> None:
    assert config().targets["bot"] != config(SECRET="other").targets["bot"]
    assert config().targets["bot"] == config().targets["bot"]


def test_a_missing_secret_is_an_error_but_for_commands_that_send_nothing() -> None:
    with pytest.raises(RoutesInvalid, match="the variable NOBODY is not set"):
        config(USUAL.replace("SECRET", "NOBODY"))
    without = 'token_url: "${URL}", client_id: "${ID}", client_secret: "${NOBODY}", scope: "${SCOPE}"'
    found = config(without, stand_ins=True).targets["bot"].oauth2
    assert found
    assert (found.token_url, found.client_secret.reveal()) == ("https://absent.invalid/", "absent")


def test_deny_private_holds_for_the_token_url_too() -> None:
    with pytest.raises(RoutesInvalid, match="token_url: deny_private refuses this host"):
        config(USUAL.replace("https://id.example", "http://127.0.0.1:9"), more="deny_private: true")


def test_a_secret_in_the_file_and_open_http_are_noticed() -> None:
    places = [
        warning.partition(": ")[::2]
        for warning in warned('token_url: "http://id.example/token", client_id: relay, client_secret: hunter2')
    ]
    assert places == [
        ("routes.yaml:6:14  targets.bot.oauth2.token_url", OPEN),
        ("routes.yaml:6:70  targets.bot.oauth2.client_secret", IN_THE_FILE),
    ]
    assert warned(USUAL.replace("https://id.example", "http://127.0.0.1:9")) == []


def test_credentials_with_stray_characters_are_noticed() -> None:
    [warning] = warned(USUAL, SECRET="canary ")
    assert warning.endswith("targets.bot.oauth2.client_secret: the value ends with a blank: remove it")


def test_the_lines_of_errors_show_keys_and_no_values() -> None:
    lines = RedactedLines(FILE.format(oauth2=USUAL.replace("${SECRET}", "hunter2"), more="").encode())
    shown = lines.at(6, 1)
    assert shown
    assert shown[0] == "    oauth2: {token_url: ***, client_id: ***, client_secret: ***}"
    broken = RedactedLines(b"targets:\n  bot:\n    oauth2: {client_secret: hunter2\n    client_secret: hunter2\n: [")
    assert [broken.at(line, 1) for line in (3, 4)] == [("    oauth2: …", 0), ("    client_secret: …", 0)]
