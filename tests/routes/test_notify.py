"""`notify:` of a routes file: read with every default, refused at its place, warned of, and never shown."""

from collections.abc import Callable
from datetime import time, timedelta

import pytest

from relay.errors import RoutesInvalid
from relay.model import Egress
from relay.model.notify import Encryption, HttpReceiver, Kind, Language, Mail, Notify, Slack, Telegram
from relay.routes.config import Config, parse
from relay.routes.lint import warnings
from relay.routes.redaction import RedactedLines
from tests.routes.conftest import ENV, HEAD

TOKEN = "123456:AAHcanary-token-of-a-bot"
ROUTES = "routes: [{name: all, match: {}, to: [bot, erp]}]\n"


def parsed(notify: str, **env: str) -> Config:
    return parse(f"{HEAD}{ROUTES}notify:\n{notify}", file="routes.yaml", env=ENV | {"TG": TOKEN} | env)


def only(notify: str, **env: str) -> Notify:
    [found] = parsed(notify, **env).notify
    return found


def problems(notify: str, **env: str) -> list[str]:
    with pytest.raises(RoutesInvalid) as refused:
        parsed(notify, **env)
    return [line.removeprefix("routes.yaml:") for line in refused.value.lines()]


def warned(notify: str) -> list[str]:
    found = [each for each in warnings(parsed(notify)) if each.path.startswith("notify")]
    return [each.text("routes.yaml").removeprefix("routes.yaml:") for each in found]


def test_a_chat_of_telegram_is_notified_of_everything_by_default() -> None:
    found = only('- to: {telegram: {token: "${TG}", chat_id: -100123}}')
    assert isinstance(found.to, Telegram)
    assert (found.name, found.to.token.reveal(), found.to.chat_id) == ("telegram", TOKEN, -100123)
    long = only(f'- to: {{telegram: {{token: "${{TG}}", chat_id: "{"9" * 5_000}"}}}}')
    assert isinstance(long.to, Telegram) and long.to.chat_id == "9" * 5_000, "no number that Python reads"
    assert found.to.api == "https://api.telegram.org"
    assert found.kinds == frozenset(Kind)
    assert found.installation is None
    assert (found.language, found.quiet, found.silence, found.egress) == (Language.EN, None, {}, Egress())


def test_an_installation_has_a_name_of_one_line() -> None:
    to = '- {to: {slack: {url: "https://hooks.example/x"}}, name: %s}'
    assert only(to % "ООО Ромашка").installation == "ООО Ромашка"
    for odd, why in (('"a\\nb"', "must be one line"), ('" a"', "must be one line"), ("''", "must be text of up to 64")):
        [problem] = problems(to % odd)
        assert f"notify[0].name: {why}" in problem


def test_the_example_of_the_contract_is_read() -> None:
    found = only("""
  - to: {telegram: {token: "${TG}", chat_id: -100123}}
    on: [target_open, target_closed, dead, unparsed, silence, disk, reload, spool, guard, heal]
    silence: {crm: 6h}
    quiet: {from: "22:00", to: "08:00", except: [disk, guard]}
    language: ru
""")
    assert found.silence == {"crm": timedelta(hours=6)}
    assert found.quiet is not None
    assert found.quiet.exempt == {Kind.DISK, Kind.GUARD}
    assert [found.quiet.holds(time(hour)) for hour in (21, 22, 3, 8)] == [False, True, True, False]
    assert found.language is Language.RU


def test_quiet_hours_may_end_on_the_same_day() -> None:
    found = only('- {to: {slack: {url: "https://hooks.example/x"}}, quiet: {from: "01:00", to: "05:30"}}')
    assert found.quiet is not None
    assert [found.quiet.holds(time(*at)) for at in ((0, 59), (1,), (5, 29), (5, 30))] == [False, True, True, False]


@pytest.mark.parametrize(
    ("settings", "port", "encryption"),
    [
        ("smtp: mail.example", 587, Encryption.STARTTLS),
        ("smtp: mail.example:465", 465, Encryption.IMPLICIT),
        ('smtp: "mail.example:25", encryption: none', 25, Encryption.NONE),
    ],
)
def test_a_mail_server_is_reached_as_its_port_suggests(settings: str, port: int, encryption: Encryption) -> None:
    found = only(f"- to: {{mail: {{{settings}, from: relay@example.com, to: [a@example.com, b@example.com]}}}}")
    assert isinstance(found.to, Mail)
    assert (found.to.host, found.to.port, found.to.encryption) == ("mail.example", port, encryption)
    assert found.to.to == ("a@example.com", "b@example.com")


def test_receivers_of_one_kind_are_told_apart_by_their_number() -> None:
    config = parsed("""
  - to: {slack: {url: "https://hooks.example/a"}}
  - to: {webhook: {url: "https://hooks.example/b", headers: {Authorization: "Bearer ${TG}"}, body: {say: "{{ text }}"}}}
  - to: {slack: {url: "https://hooks.example/c"}}
""")
    assert [each.name for each in config.notify] == ["slack", "webhook", "slack-2"]
    _, webhook, last = config.notify
    assert isinstance(webhook.to, HttpReceiver)
    assert isinstance(last.to, Slack)
    assert webhook.to.headers["authorization"].reveal() == f"Bearer {TOKEN}"
    assert webhook.to.body is not None
    assert webhook.to.body.render({"text": 'a "quoted" text'}) == b'{"say":"a \\"quoted\\" text"}'


def test_a_receiver_has_the_defaults_of_targets_for_its_connections() -> None:
    text = HEAD + "defaults: {deny_private: true}\n" + ROUTES
    config = parse(text + 'notify: [{to: {slack: {url: "https://hooks.example/a"}}}]', file="routes.yaml", env=ENV)
    assert config.notify[0].egress.deny_private
    with pytest.raises(RoutesInvalid, match="deny_private refuses this host: loopback"):
        parse(text + 'notify: [{to: {slack: {url: "http://127.0.0.1/a"}}}]', file="routes.yaml", env=ENV)


@pytest.mark.parametrize(
    ("notify", "expected"),
    [
        ("- {}", "10:3  notify[0].to: is missing"),
        ("- to: {}", "10:3  notify[0].to: must have one of telegram, mail, slack, webhook"),
        (
            '- to: {telegramm: {token: "${TG}"}}',
            "10:8  notify[0].to.telegramm: unknown key 'telegramm' (did you mean 'telegram'?)",
        ),
        (
            "- {to: {telegram: {token: nonsense, chat_id: 1}}}",
            "10:20  notify[0].to.telegram.token: must be the bot's token as @BotFather gives it, like 123456:AAH…",
        ),
        (
            '- {to: {telegram: {token: "${TG}", chat_id: my group}}}',
            "10:36  notify[0].to.telegram.chat_id: must be a number like -1001234567890, or @name of a channel",
        ),
        (
            '- {to: {slack: {url: "https://x.example/"}}, on: [target_opened]}',
            (
                "10:51  notify[0].on[0]: must be one of target_open, target_closed, dead, unparsed, silence, disk, "
                "reload, spool, guard, heal (did you mean 'target_open'?)"
            ),
        ),
        (
            '- {to: {slack: {url: "https://x.example/"}}, silence: {crn: 6h}}',
            "10:56  notify[0].silence.crn: no source 'crn' (did you mean 'crm'?)",
        ),
        (
            '- {to: {slack: {url: "https://x.example/"}}, quiet: {from: "9 pm", to: "08:00"}}',
            '10:54  notify[0].quiet.from: must be a time of day in quotes like "22:00"',
        ),
        (
            '- {to: {slack: {url: "https://x.example/"}}, quiet: {from: "08:00", to: "08:00"}}',
            "10:69  notify[0].quiet.to: is the time it begins: it would never be quiet",
        ),
        (
            "- {to: {mail: {smtp: 'smtp://mail.example', from: a@b.example, to: c@d.example}}}",
            (
                "10:16  notify[0].to.mail.smtp: must be a host, maybe with a port, and nothing before it: "
                "smtp.example.com:587"
            ),
        ),
        (
            "- {to: {mail: {smtp: mail.example, user: me, from: a@b.example, to: c@d.example}}}",
            "10:36  notify[0].to.mail.user: user and password go together",
        ),
        (
            "- {to: {mail: {smtp: mail.example, from: Relay <a@b.example>, to: c@d.example}}}",
            "10:36  notify[0].to.mail.from: must be one address like oncall@example.com, without a name",
        ),
        (
            '- {to: {webhook: {url: "https://x.example/{{ text }}"}}}',
            "10:19  notify[0].to.webhook.url: has no template: only body may have one",
        ),
        (
            '- {to: {webhook: {url: "https://x.example/", body: {a: "{{ txt }}"}}}}',
            "10:60  notify[0].to.webhook.body.a: no name 'txt' (did you mean 'text'?)",
        ),
        (
            '- {to: {webhook: {url: "https://x.example/", headers: {Host: a}}}}',
            "10:56  notify[0].to.webhook.headers.Host: the relay sets this header itself",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_at_its_place(notify: str, expected: str) -> None:
    assert expected in problems(notify)


@pytest.mark.parametrize(
    ("notify", "expected"),
    [
        ("on: [silence]", "silence tells nothing without silence beside it: write silence: {crm: 6h}, too"),
        ("on: [dead], silence: {crm: 6h}", "tells nothing: add silence to on"),
        ("on: [guard]", "guard tells nothing: there is no account"),
        ("on: [heal]", "heal tells nothing: no source heals"),
        ('on: [dead], quiet: {from: "22:00", to: "08:00", except: [disk]}', "disk is not in on: it is never sent"),
    ],
)
def test_what_would_never_be_sent_is_warned_of(notify: str, expected: str) -> None:
    [found] = warned(f'- {{to: {{slack: {{url: "https://x.example/"}}}}, {notify}}}')
    assert found.endswith(expected)


@pytest.mark.parametrize(
    "to",
    [
        'slack: {url: "http://x.example/"}',
        'webhook: {url: "http://x.example/"}',
        'telegram: {token: "${TG}", chat_id: 1, api: "http://x.example"}',
        'mail: {smtp: "x.example:25", encryption: none, from: a@b.example, to: c@d.example}',
    ],
)
def test_a_receiver_that_is_reached_in_the_clear_is_warned_of(to: str) -> None:
    assert any("on the way" in each or "shows it the token" in each for each in warned(f"- {{to: {{{to}}}}}"))


def test_commands_that_send_nothing_need_no_secret_of_a_receiver() -> None:
    text = f"""{HEAD}{ROUTES}notify:
- to: {{telegram: {{token: "${{A}}", chat_id: "${{B}}", api: "${{C}}"}}}}
- to: {{slack: {{url: "${{D}}"}}}}
  proxy: "${{M}}"
- to: {{webhook: {{url: "${{E}}", headers: {{X: "${{F}}"}}, body: {{a: "${{G}}"}}}}}}
- to: {{mail: {{smtp: "${{H}}", user: "${{I}}", password: "${{J}}", from: "${{K}}", to: ["${{L}}"]}}}}
"""
    assert len(parse(text, file="routes.yaml", env=ENV, stand_ins=True).notify) == 4


def test_no_excerpt_of_the_file_shows_a_secret_of_a_receiver() -> None:
    text = """notify:
  - to: {telegram: {token: canary1, chat_id: 5}}
    on: [dead]
  - to: {mail: {smtp: mail.example, user: canary2, password: canary3}}
  - to: {webhook: {url: "https://canary4.example", headers: {X: canary5}, body: {a: canary6}}}
"""
    lines = RedactedLines(text.encode())
    shown = "\n".join(str(lines.at(number, 1)) for number in range(1, 6))
    assert "canary" not in shown
    assert "on: [dead]" in shown


def test_a_file_without_notify_has_no_receivers(routes_file: Callable[..., Config]) -> None:
    assert routes_file(ROUTES).notify == ()
