"""Each receiver takes a notification as its API wants it, and what it answers decides what follows."""

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext

import orjson
import pytest
import trustme

from relay.http.client import plain_client
from relay.model import Egress, Secret
from relay.model.notify import Encryption, HttpReceiver, Mail, Notify, Slack, Telegram
from relay.model.notify import Receiver as To
from relay.model.targets import Tls
from relay.notify.notification import Line, Notification
from relay.notify.receivers import receiver as module
from relay.notify.receivers.receiver import Receiver
from relay.notify.receivers.reply import Reply, Result
from relay.routes.template import NOTIFICATION_NAMES, compile_tree
from tests.notify.facts import NOON
from tests.notify.fakes import (
    CHAT,
    PASSWORD,
    TOKEN,
    FakeSlack,
    FakeTelegram,
    FakeWebhook,
    Mailbox,
    mail_server,
    served,
)

SAID = Notification(
    kinds=["target_open", "dead"],
    lines=[Line(text="✗ bot: <открыт> & 503", link="https://relay.example/targets/bot"), Line(text="✗ erp: 2 dead")],
    name="ООО Ромашка",
    relay="relay-a",
    at=NOON,
)


async def sent(to: To, said: Notification = SAID, **settings: object) -> Reply:
    of = Notify(name="one", to=to, **settings)
    receiver = Receiver(of, clock=lambda: NOON, new_client=plain_client)
    try:
        return await receiver.send(said)
    finally:
        await receiver.close()


# ---- Telegram


@pytest.fixture
async def telegram() -> AsyncIterator[FakeTelegram]:
    fake = FakeTelegram()
    async with served(fake.answer) as fake.url:
        yield fake


def chat(fake: FakeTelegram, **settings: object) -> Telegram:
    return Telegram(**{"token": Secret(TOKEN), "chat_id": CHAT, "api": fake.url, **settings})


async def test_telegram_gets_plain_text_without_previews(telegram: FakeTelegram) -> None:
    reply = await sent(chat(telegram, thread=17))
    assert reply.result is Result.SENT
    assert telegram.messages == [
        {
            "chat_id": CHAT,
            "text": "ООО Ромашка\n✗ bot: <открыт> & 503\nhttps://relay.example/targets/bot\n✗ erp: 2 dead",
            "link_preview_options": {"is_disabled": True},
            "message_thread_id": 17,
        }
    ]


async def test_telegram_says_how_long_to_wait(telegram: FakeTelegram) -> None:
    telegram.limits = [7]
    reply = await sent(chat(telegram))
    assert (reply.result, reply.asked) == (Result.RETRY, timedelta(seconds=7))


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_telegram_that_is_down_is_asked_again(telegram: FakeTelegram, status: int) -> None:
    telegram.down = status
    assert (await sent(chat(telegram))).result is Result.RETRY


async def test_a_proxy_that_answers_200_in_its_place_is_not_taken_for_telegram(telegram: FakeTelegram) -> None:
    telegram.down = 200
    reply = await sent(chat(telegram))
    assert (reply.result, reply.detail.startswith("200")) == (Result.RETRY, True)


@pytest.mark.parametrize("odd", [{"ok": False}, {}, [], "ok", {"ok": 1, "parameters": []}])
async def test_a_200_that_is_not_ok_is_not_taken_for_sent(telegram: FakeTelegram, odd: object) -> None:
    telegram.odd = odd
    assert (await sent(chat(telegram))).result is Result.RETRY


async def test_a_chat_that_is_not_there_is_not_asked_again_and_its_answer_is_shown(telegram: FakeTelegram) -> None:
    reply = await sent(chat(telegram, chat_id=5))
    assert reply.result is Result.REFUSED
    assert "chat not found" in reply.detail


async def test_a_wrong_token_is_refused_and_shown_nowhere(telegram: FakeTelegram) -> None:
    wrong = Secret("123:canary-that-is-wrong")
    reply = await sent(chat(telegram, token=wrong))
    assert (reply.result, "canary" in repr(reply)) == (Result.REFUSED, False)


async def test_a_long_text_is_cut_to_what_telegram_takes(telegram: FakeTelegram) -> None:
    said = Notification(kinds=[], lines=[Line(text="ы" * 5000)], name="", relay="", at=NOON)
    assert (await sent(chat(telegram), said)).result is Result.SENT
    assert len(telegram.messages[0]["text"]) == 4096


async def test_a_telegram_that_hangs_is_given_up_in_time(
    telegram: FakeTelegram, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WITHIN", timedelta(seconds=0.2))
    telegram.hangs = True
    assert (await sent(chat(telegram))).result is Result.RETRY


async def test_a_private_address_is_refused_where_the_file_says_so(telegram: FakeTelegram) -> None:
    reply = await sent(chat(telegram), egress=Egress(deny_private=True))
    assert reply.result is Result.REFUSED
    assert telegram.calls == 0


# ---- Slack


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    fake = FakeSlack()
    async with served(fake.answer) as fake.url:
        yield fake


async def test_slack_gets_text_in_which_nothing_is_markup(slack: FakeSlack) -> None:
    assert (await sent(Slack(url=Secret(f"{slack.url}/services/T0/B0/canary-in-path")))).result is Result.SENT
    assert slack.payloads[0]["text"].splitlines()[1] == "✗ bot: &lt;открыт&gt; &amp; 503"


async def test_slack_says_how_long_to_wait_by_a_header(slack: FakeSlack) -> None:
    slack.limits = [30]
    reply = await sent(Slack(url=Secret(f"{slack.url}/services/T0/B0/canary-in-path")))
    assert (reply.result, reply.asked) == (Result.RETRY, timedelta(seconds=30))


async def test_a_webhook_of_slack_that_is_gone_is_not_asked_again(slack: FakeSlack) -> None:
    reply = await sent(Slack(url=Secret(f"{slack.url}/services/gone")))
    assert (reply.result, reply.detail) == (Result.REFUSED, "404 no_service")


# ---- any webhook


@pytest.fixture
async def webhook() -> AsyncIterator[FakeWebhook]:
    fake = FakeWebhook()
    async with served(fake.answer) as fake.url:
        yield fake


async def test_a_webhook_gets_the_notification_as_json(webhook: FakeWebhook) -> None:
    assert (await sent(HttpReceiver(url=Secret(f"{webhook.url}/in")))).result is Result.SENT
    [(headers, body)] = webhook.requests
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"].startswith("amocrm-relay/")
    assert orjson.loads(body) == SAID.document()
    assert orjson.loads(body)["kinds"] == ["target_open", "dead"]


async def test_a_webhook_gets_a_body_of_its_own(webhook: FakeWebhook) -> None:
    body = compile_tree(
        {"message": "{{ text }}", "first": "{{ lines[0].text }}", "where": "{{ link }}"}, NOTIFICATION_NAMES
    )
    headers = {"authorization": Secret("Bearer canary-in-header")}
    reply = await sent(HttpReceiver(url=Secret(webhook.url), headers=headers, body=body))
    assert reply.result is Result.SENT
    [(sent_headers, content)] = webhook.requests
    assert sent_headers["authorization"] == "Bearer canary-in-header"
    assert orjson.loads(content) == {
        "message": SAID.text,
        "first": SAID.lines[0].text,
        "where": "https://relay.example/targets/bot",
    }


async def test_an_answer_that_repeats_a_secret_does_not_show_it(webhook: FakeWebhook) -> None:
    webhook.status = 400
    headers = {"authorization": Secret("Bearer canary-in-header")}
    reply = await sent(HttpReceiver(url=Secret(f"{webhook.url}/canary-in-url"), headers=headers))
    assert reply.result is Result.REFUSED
    assert "canary" not in reply.detail
    assert "got" in reply.detail


# ---- mail

CA = trustme.CA()


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    file = tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(str(file))
    return Tls(ca=file, cert=None, key=None, digest="1")


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture(params=["starttls", "implicit", "none"])
async def server(request: pytest.FixtureRequest, mailbox: Mailbox) -> AsyncIterator[Mail]:
    context = SSLContext(PROTOCOL_TLS_SERVER)
    CA.issue_cert("127.0.0.1").configure_cert(context)
    kind = request.param
    contexts = {} if kind == "none" else {kind: context}
    login = {} if kind == "none" else {"user": "relay", "password": Secret(PASSWORD)}
    async with mail_server(mailbox, login=bool(login), **contexts) as port:
        yield Mail(
            host="127.0.0.1",
            port=port,
            sender="relay@example.com",
            to=("oncall@example.com", "it@example.com"),
            encryption=Encryption(kind),
            **login,
        )


async def test_a_mail_arrives_with_its_text_its_subject_and_its_addresses(
    server: Mail, mailbox: Mailbox, tls: Tls
) -> None:
    reply = await sent(server, tls=tls)
    assert (reply.result, "queued as 4711" in reply.detail) == (Result.SENT, True), reply
    [mail] = mailbox.mails
    assert mail["Subject"] == "ООО Ромашка: ✗ bot: <открыт> & 503 (+1)"
    assert (mail["From"], mail["To"]) == ("relay@example.com", "oncall@example.com, it@example.com")
    assert mail["X-Rcpt"] == "oncall@example.com, it@example.com"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert isinstance(mail, EmailMessage)
    assert mail.get_content().splitlines() == SAID.text.splitlines()


@pytest.mark.parametrize("server", ["starttls"], indirect=True)
async def test_a_mail_server_whose_certificate_is_unknown_gets_nothing(server: Mail, mailbox: Mailbox) -> None:
    reply = await sent(server)
    assert reply.result is Result.RETRY
    assert mailbox.mails == []


@pytest.mark.parametrize("server", ["none"], indirect=True)
async def test_a_server_without_starttls_is_told_no_password(server: Mail, mailbox: Mailbox, tls: Tls) -> None:
    to = Mail(
        host=server.host, port=server.port, sender=server.sender, to=server.to, user="relay", password=Secret(PASSWORD)
    )
    reply = await sent(to, tls=tls)
    assert reply.result is Result.RETRY
    assert mailbox.mails == []


@pytest.mark.parametrize("server", ["starttls"], indirect=True)
async def test_a_wrong_password_is_refused_and_not_shown(server: Mail, tls: Tls) -> None:
    wrong = Mail(
        host=server.host, port=server.port, sender=server.sender, to=server.to, user="relay", password=Secret("canary!")
    )
    reply = await sent(wrong, tls=tls)
    assert (reply.result, reply.detail[:3], "canary" in reply.detail) == (Result.REFUSED, "535", False)


@pytest.mark.parametrize("server", ["none"], indirect=True)
async def test_one_address_that_is_unknown_keeps_the_others_from_nothing(server: Mail, mailbox: Mailbox) -> None:
    mailbox.refuses = "it@example.com"
    reply = await sent(server)
    assert reply.result is Result.SENT
    assert reply.detail.endswith("refused for 1 of 2")
    assert mailbox.mails[0]["X-Rcpt"] == "oncall@example.com"


@pytest.mark.parametrize("server", ["none"], indirect=True)
async def test_a_mail_server_that_is_busy_is_asked_again(server: Mail, mailbox: Mailbox) -> None:
    mailbox.busy = True
    assert (await sent(server)).result is Result.RETRY


async def test_a_mail_server_that_never_speaks_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WITHIN", timedelta(seconds=0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        reply = await asyncio.wait_for(sent(Mail(host="127.0.0.1", port=port, sender="a@b.c", to=("d@e.f",))), 10)
    assert (reply.result, reply.detail) == (Result.RETRY, "no answer in time")


async def test_a_mail_server_at_a_private_address_is_refused_where_the_file_says_so() -> None:
    to = Mail(host="127.0.0.1", port=9, sender="a@b.c", to=("d@e.f",))
    reply = await sent(to, egress=Egress(deny_private=True))
    assert reply.result is Result.REFUSED
    assert "deny_private" in reply.detail


async def test_a_mail_server_that_is_not_there_is_asked_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    reply = await sent(Mail(host="127.0.0.1", port=port, sender="a@b.c", to=("d@e.f",)))
    assert reply.result is Result.RETRY
