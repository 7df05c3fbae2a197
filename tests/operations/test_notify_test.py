"""`relay.operations.notify_test`: real receivers get a test, and what each answers is told."""

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from relay.errors import NotAllowed, NotFoundError
from relay.operations.desk import Desk
from relay.operations.notify_test import NOTIFY_TEST, NotifyTest
from relay.routes import config as routes_file
from relay.store.contract import Archive
from tests.notify.fakes import CHAT, TOKEN, FakeSlack, FakeTelegram, Mailbox, mail_server, served
from tests.operations.conftest import BY, OPERATOR, VIEWER, last

ROUTES = """
version: 1
sources: {crm: {token: f3c1a09d5e7b4c628d10}}
targets: {bot: {url: "https://bot.example"}}
routes: [{name: rest, otherwise: true, to: bot}]
"""


class Receivers:
    """Three receivers, and the routes that name them."""

    def __init__(self) -> None:
        self.telegram, self.slack, self.mailbox = FakeTelegram(), FakeSlack(), Mailbox()
        self.text = ""

    async def start(self, stack: AsyncExitStack) -> None:
        telegram = await stack.enter_async_context(served(self.telegram.answer))
        slack = await stack.enter_async_context(served(self.slack.answer))
        port = await stack.enter_async_context(mail_server(self.mailbox))
        self.text = f"""{ROUTES}
notify:
  - to: {{telegram: {{token: "{TOKEN}", chat_id: {CHAT}, api: "{telegram}"}}}}
    language: ru
    on: [dead]
    name: ООО Ромашка
  - {{to: {{slack: {{url: "{slack}/services/T0/B0/canary-in-path"}}}}, quiet: {{from: "00:00", to: "23:59"}}}}
  - {{to: {{mail: {{smtp: "127.0.0.1:{port}", encryption: none, from: a@b.example, to: c@d.example}}}}}}
"""

    def desk(self, store: Archive, asker: object = OPERATOR, **more: str) -> Desk:
        config = routes_file.parse(self.text or ROUTES, file="routes.yaml", env={})
        return Desk(store, asker, config=lambda: config, **more)


@pytest.fixture
async def receivers() -> AsyncIterator[Receivers]:
    made = Receivers()
    async with AsyncExitStack() as stack:
        await made.start(stack)
        yield made


async def test_each_receiver_gets_a_test_in_its_language_and_in_quiet_hours_too(
    store: Archive, receivers: Receivers
) -> None:
    done = await receivers.desk(store).ask(NOTIFY_TEST, NotifyTest())
    assert [(each.receiver, each.result) for each in done.receivers] == [
        ("telegram", "sent"),
        ("slack", "sent"),
        ("mail", "sent"),
    ]
    assert [each.answer.partition(" ")[0] for each in done.receivers] == ["200", "200", "2.0.0"]
    host = socket.gethostname()
    assert receivers.telegram.lines == ["ООО Ромашка", "✓ проверка уведомлений relay"]
    assert receivers.slack.payloads[0]["text"] == f"{host}\n✓ a test of the relay's notifications"
    assert receivers.mailbox.mails[0]["Subject"] == f"{host}: ✓ a test of the relay's notifications"
    entry = await last(store)
    assert (entry.command, entry.who, entry.details) == ("notify test", BY, {"to": ["telegram", "slack", "mail"]})


async def test_a_test_links_to_the_console_where_its_address_is_known(store: Archive, receivers: Receivers) -> None:
    await receivers.desk(store, console="https://relay.example").ask(NOTIFY_TEST, NotifyTest())
    assert receivers.telegram.lines[-1] == "https://relay.example/"
    assert receivers.slack.payloads[0]["text"].endswith("\nhttps://relay.example/")


async def test_one_receiver_is_chosen_by_its_place(store: Archive, receivers: Receivers) -> None:
    done = await receivers.desk(store).ask(NOTIFY_TEST, NotifyTest(to=2))
    assert [each.receiver for each in done.receivers] == ["slack"]
    assert receivers.telegram.calls == 0


async def test_what_a_receiver_does_not_take_is_told_without_its_secret(store: Archive, receivers: Receivers) -> None:
    receivers.telegram.down = 502
    receivers.text = receivers.text.replace("canary-in-path", "canary-that-is-gone")
    done = await receivers.desk(store).ask(NOTIFY_TEST, NotifyTest())
    assert [each.result for each in done.receivers] == ["retry", "refused", "sent"]
    assert "canary" not in repr(done)
    assert TOKEN not in repr(done)


async def test_a_place_that_is_not_there_is_refused(store: Archive, receivers: Receivers) -> None:
    with pytest.raises(NotFoundError, match=r"no receiver 4 \(known: 1 telegram, 2 slack, 3 mail\)"):
        await receivers.desk(store).ask(NOTIFY_TEST, NotifyTest(to=4))


async def test_routes_without_receivers_are_said_to_have_none(store: Archive) -> None:
    with pytest.raises(NotFoundError, match="the routes file has no notify"):
        await Receivers().desk(store).ask(NOTIFY_TEST, NotifyTest())


async def test_a_viewer_may_not(store: Archive, receivers: Receivers) -> None:
    with pytest.raises(NotAllowed):
        await receivers.desk(store, VIEWER).ask(NOTIFY_TEST, NotifyTest())
    assert receivers.telegram.calls == 0
