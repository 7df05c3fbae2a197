"""`accounts`, and what a source asks of its account: what is read, what `check` warns of, what is shown of secrets."""

from datetime import timedelta
from pathlib import Path

import pytest

from relay.errors import RoutesInvalid
from relay.model import HEAL_OFF, Account, DpTrigger, Guard, Heal, HealMode, Reenable, Source
from relay.routes.config import Config, parse
from relay.routes.lint import warnings
from relay.routes.redaction import RedactedLines

ENV = {"CRM_TOKEN": "canary-crm-token-0123456789", "API_TOKEN": "canary.api.token"}
FILE = """\
version: 1
accounts: {{main: {{{account}}}}}
sources: {{crm: {{token: "${{CRM_TOKEN}}", account: main, {source}}}}}
targets: {{bot: {{url: "https://bot.example/in"}}}}
routes: [{{name: all, match: {{entity: {{exists: true}}}}, to: bot}}]
"""
USUAL = 'host: example.amocrm.ru, token: "${API_TOKEN}"'
OAUTH = (
    'host: example.kommo.com, oauth: {client_id: c1, client_secret: "${API_TOKEN}", redirect_uri: "https://a.example/"}'
)


def config(account: str = USUAL, *, source: str = "", file: str = "routes.yaml", **options: bool) -> Config:
    return parse(FILE.format(account=account, source=source), file=file, env=ENV, **options)


def account(text: str = USUAL) -> Account:
    return config(text).accounts["main"]


def source(text: str) -> Source:
    return config(source=text).sources["crm"]


def warned(text: str, **env: str) -> list[str]:
    loaded = parse(FILE.format(account=text, source=""), file="routes.yaml", env=ENV | env)
    return [warning.text("routes.yaml") for warning in warnings(loaded)]


def test_an_account_has_its_host_and_its_token() -> None:
    found = account()
    assert found.token
    assert (found.name, found.url, found.token.reveal()) == ("main", "https://example.amocrm.ru", "canary.api.token")
    assert not found.is_kommo


def test_a_grant_is_read() -> None:
    found = account(OAUTH)
    assert found.oauth
    assert (found.oauth.client_id, found.oauth.redirect_uri) == ("c1", "https://a.example/")
    assert found.oauth.client_secret.reveal() == "canary.api.token"
    assert found.token is None
    assert found.is_kommo


@pytest.mark.parametrize("host", ["127.0.0.1:8090", "localhost:8090", "[::1]:8090"])
def test_plain_http_is_for_loopback_alone(host: str) -> None:
    assert account(f'host: "{host}", token: "${{API_TOKEN}}"').url == f"http://{host}"


@pytest.mark.parametrize(
    "host",
    ["example.com:80", "127.0.0.1.amocrm.ru:80", "::1:80", "0.0.0.0:80", "127.0.0.1:0", "a.b.amocrm.ru", "amocrm.ru"],
)
def test_any_other_host_is_refused(host: str) -> None:
    with pytest.raises(RoutesInvalid, match="must be the account's own host"):
        account(f'host: "{host}", token: "${{API_TOKEN}}"')


def test_a_host_is_read_without_regard_to_case() -> None:
    assert account('host: Example.AmoCRM.ru, token: "${API_TOKEN}"').host == "example.amocrm.ru"


def test_names_are_looked_for_beside_the_routes_file(tmp_path: Path) -> None:
    text = f"{USUAL}, names: names.json"
    (tmp_path / "names.json").write_text('{"version": 1, "host": "example.amocrm.ru", "as_of": "2026-11-22T10:00:00Z"}')
    assert config(text, file=f"{tmp_path}/routes.yaml").accounts["main"].names == tmp_path / "names.json"


def test_a_source_that_says_nothing_is_as_without_an_account() -> None:
    found = source("")
    assert (found.account, found.guard, found.heal) == ("main", None, HEAL_OFF)
    assert HEAL_OFF.mode is HealMode.OFF


@pytest.mark.parametrize(
    ("written", "reenable"), [("", "false"), ("reenable: true,", "true"), ("reenable: recreate,", "recreate")]
)
def test_a_guard_is_read(written: str, reenable: str) -> None:
    found = source(f"guard: {{{written} url: https://hooks.example.com/in/}}").guard
    assert found == Guard(reenable=Reenable(reenable), url="https://hooks.example.com/in")


@pytest.mark.parametrize("mode", HealMode)
def test_heal_is_a_word_and_on_and_off_need_no_quotes(mode: HealMode) -> None:
    assert source(f"heal: {mode}").heal == source(f'heal: "{mode}"').heal == Heal(mode=mode)


def test_heal_may_say_more() -> None:
    dp = '[{stage: Sales/Offer, on: [status, call_in], query: {try: 1}}, {stage: 142, "on": [add]}]'
    found = source(f"heal: {{mode: on, actions: [leads.add], most: 7, settle: 3h, proxy: none, dp: {dp}}}").heal
    assert found == Heal(
        mode=HealMode.ON,
        actions=frozenset({"leads.add"}),
        most=7,
        settle=timedelta(hours=3),
        proxied=False,
        dp=(
            DpTrigger(stage="Sales/Offer", on=("status", "call_in"), query={"try": "1"}),
            DpTrigger(stage="142", on=("add",)),
        ),
    )


def test_commands_that_send_nothing_need_no_secret() -> None:
    absent = OAUTH.replace("API_TOKEN", "NOBODY").replace("https://a.example/", "${NOBODY}")
    for text in (USUAL.replace("API_TOKEN", "NOBODY"), absent):
        with pytest.raises(RoutesInvalid, match="the variable NOBODY is not set"):
            config(text)
        found = config(text, source='guard: {url: "${NOBODY}"}', stand_ins=True)
        assert found.sources["crm"].guard == Guard(url="https://absent.invalid")


def test_a_secret_in_the_file_and_stray_characters_are_noticed() -> None:
    in_the_file = "a secret in the file: write ${NAME} and set the variable, or ${file:/run/secrets/name}"
    assert warned(USUAL) == warned(OAUTH) == []
    assert warned("host: example.amocrm.ru, token: hunter2") == [
        f"routes.yaml:2:44  accounts.main.token: {in_the_file}"
    ]
    assert warned(OAUTH.replace("${API_TOKEN}", "hunter2")) == [
        f"routes.yaml:2:67  accounts.main.oauth.client_secret: {in_the_file}"
    ]
    [warning] = warned(USUAL, API_TOKEN='"canary"')
    assert warning.startswith("routes.yaml:2:44  accounts.main.token: the value has quotes in it")


def test_an_account_that_no_source_has_is_noticed() -> None:
    text = FILE.format(account=USUAL, source="").replace("account: main, ", "")
    found = [warning.text("r") for warning in warnings(parse(text, file="r", env=ENV))]
    assert found == ["r:2:12  accounts.main: no source has it: write account: main at the source it posts to"]


def test_the_lines_of_errors_show_settings_and_no_secret() -> None:
    text = FILE.format(
        account="host: example.amocrm.ru, token: hunter2, oauth: {client_id: c1, client_secret: hunter2}",
        source="guard: {reenable: true}, heal: {mode: on, dp: [{stage: A/B, query: {key: hunter2}}]}",
    )
    lines = RedactedLines(text.encode())
    shown = [found[0] for line in (2, 3) if (found := lines.at(line, 1))]
    of_source = "guard: {reenable: true}, heal: {mode: on, dp: [{stage: A/B, query: {key: ***}}]}"
    assert shown == [
        "accounts: {main: {host: example.amocrm.ru, token: ***, oauth: {client_id: ***, client_secret: ***}}}",
        f'sources: {{crm: {{token: "${{CRM_TOKEN}}", account: main, {of_source}}}}}',
    ]
