"""`connect`, `disconnect` and `guard resume` of a source, against the double of amoCRM and a SQLite store."""

import pytest

from relay.errors import AccountError, ConflictError, Forbidden, NotFoundError
from relay.model.subscription import GuardRecord, SubscriptionState
from relay.operations import audit, subscriptions
from relay.operations.subscriptions import Connected
from relay.routes.config import Config, parse
from relay.store.sqlite.store import SqliteStore
from tests.account.fake_api import FakeApi
from tests.account.test_guard import store as store
from tests.fakeamo.amo import FakeAmo
from tests.fakeamo.clock import VirtualClock
from tests.fakeamo.subscriptions import Subscription
from tests.store.conftest import NOON

URL = "https://hooks.example.com/hooks/crm/first-token"
SECOND = URL.replace("first", "second")
FOREIGN = "https://somebody.example/hook"
ROUTES = """\
version: 1
accounts: {{main: {{host: example.amocrm.ru, token: canary-token}}}}
sources: {{crm: {{token: [first-token, second-token]{source}}}}}
targets: {{bot: {{url: "https://bot.example/in"}}}}
routes: [{{name: r, match: {match}, to: bot}}]
"""
WATCHED = ", account: main, guard: {reenable: true, url: https://hooks.example.com}"
MOVES = "{entity: leads, action: [add, status]}"


def config(match: str = MOVES, source: str = WATCHED) -> Config:
    return parse(ROUTES.format(match=match, source=source), file="routes.yaml", env={})


class Scene:
    def __init__(self, store: SqliteStore, **quirks: bool) -> None:
        self.amo = FakeAmo(7, clock=VirtualClock(), **quirks)
        self.api = FakeApi(self.amo)
        self.store = store

    async def connect(self, routes: Config | None = None) -> Connected:
        return await subscriptions.connect(self.store, routes or config(), "crm", self.api, by="olga@host", now=NOON)

    async def disconnect(self) -> int:
        return await subscriptions.disconnect(self.store, config(), "crm", self.api, by="olga@host", now=NOON)

    def known(self, destination: str = URL) -> Subscription | None:
        return self.amo.webhooks.known(destination)

    async def acts(self) -> list[str]:
        return [each.command for each in await self.store.audit(limit=9)]


@pytest.fixture
def scene(store: SqliteStore) -> Scene:
    return Scene(store)


async def test_connect_sets_up_what_the_routes_need(scene: Scene) -> None:
    done = await scene.connect()
    made = scene.known()
    assert made and set(made.settings) == set(done.settings) == {"add_lead", "status_lead", "update_lead"}
    assert done.address == "https://hooks.example.com/hooks/crm/***"
    assert done.beyond == done.unsupported == ()
    assert str(scene.amo.structure.id) in done.account
    assert await scene.acts() == ["connect"]


async def test_connect_again_changes_nothing(scene: Scene) -> None:
    await scene.connect()
    await scene.connect()
    assert len(scene.amo.subscriptions) == 1


async def test_settings_that_are_there_already_stay(scene: Scene) -> None:
    scene.amo.subscribe(URL, ["add_contact"])
    await scene.connect()
    made = scene.known()
    assert made and set(made.settings) == {"add_contact", "add_lead", "status_lead", "update_lead"}


async def test_ours_with_the_second_token_is_removed_and_another_ones_is_not(scene: Scene) -> None:
    scene.amo.subscribe(SECOND, ["add_lead"])
    scene.amo.subscribe(FOREIGN, ["add_lead"])
    done = await scene.connect()
    assert done.removed == 1
    assert scene.known(SECOND) is None
    foreign = scene.known(FOREIGN)
    assert foreign and foreign.settings == ["add_lead"]


async def test_settings_that_the_account_does_not_take_are_left_out_and_told(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.fakeamo import webhooks

    monkeypatch.setattr(webhooks, "SETTINGS", webhooks.SETTINGS - {"add_outgoing_message", "update_task"})
    done = await scene.connect(config("{type: [message.add, outgoing_message.add, task.update]}"))
    assert done.settings == ("add_message",)
    assert set(done.unsupported) == {"add_outgoing_message", "update_task"}


async def test_what_no_subscription_brings_is_told(scene: Scene) -> None:
    done = await scene.connect(config("{entity: leads, action: [add, mail_in]}"))
    assert done.beyond == ("leads.mail_in",)


async def test_a_webhook_that_stays_switched_off_is_told(store: SqliteStore) -> None:
    scene = Scene(store, post_enables=False)
    scene.amo.subscribe(URL, ["add_lead"])
    scene.amo.switch_off(URL)
    with pytest.raises(ConflictError, match="switched off"):
        await scene.connect()


async def test_routes_that_take_nothing_need_no_webhook(scene: Scene) -> None:
    with pytest.raises(ConflictError, match="no route takes anything from crm"):
        await scene.connect(config("{type: unsorted.add}"))
    assert scene.amo.subscriptions == []


async def test_a_token_of_another_account_sets_nothing_up(scene: Scene) -> None:
    with pytest.raises(ConflictError, match="another account"):
        await scene.connect(config(source=f"{WATCHED}, accounts: [elsewhere]"))
    assert scene.amo.subscriptions == []


@pytest.mark.parametrize(("source", "said"), [("", "has no account"), (", account: main", "has no guard")])
async def test_a_source_that_is_not_set_up_for_it_is_told(scene: Scene, source: str, said: str) -> None:
    with pytest.raises(ConflictError, match=said):
        await scene.connect(config(source=source))


async def test_a_source_that_is_not_there_is_told(scene: Scene) -> None:
    with pytest.raises(NotFoundError, match="no source 'crn'"):
        await subscriptions.connect(scene.store, config(), "crn", scene.api, by="olga@host", now=NOON)


async def test_a_refusal_is_told_and_nothing_is_recorded(scene: Scene) -> None:
    scene.amo.faults.plan("no rights", method="POST")
    with pytest.raises(Forbidden):
        await scene.connect()
    assert await scene.acts() == []


async def test_disconnect_deletes_ours_and_has_the_guard_leave_the_source_alone(scene: Scene) -> None:
    scene.amo.subscribe(FOREIGN, ["add_lead"])
    await scene.connect()
    assert await scene.disconnect() == 1
    assert [each.destination for each in scene.amo.subscriptions] == [FOREIGN]
    assert (await scene.store.guard.records())["crm"].off
    assert await scene.disconnect() == 0
    await scene.connect()
    assert not (await scene.store.guard.records())["crm"].off


async def test_disconnect_tells_the_guard_first(scene: Scene) -> None:
    """Else it would alarm about a webhook that is missing."""
    await scene.connect()
    scene.amo.faults.plan("500", method="DELETE")
    with pytest.raises(AccountError):
        await scene.disconnect()
    assert (await scene.store.guard.records())["crm"].off


# ---- guard resume


async def resume(store: SqliteStore, routes: Config) -> None:
    act = audit.entry("guard resume", {"source": "crm"}, by="olga@host", now=NOON)
    await subscriptions.resume(store, routes, "crm", act)


async def test_a_webhook_that_is_switched_off_may_be_resumed(store: SqliteStore) -> None:
    await store.guard.record(GuardRecord(source="crm", state=SubscriptionState.DISABLED, disabled_at=NOON))
    await resume(store, config())
    assert (await store.guard.records())["crm"].resumed_at == NOON


@pytest.mark.parametrize(
    "state", [None, *(each for each in SubscriptionState if each is not SubscriptionState.DISABLED)]
)
async def test_any_other_may_not(store: SqliteStore, state: SubscriptionState | None) -> None:
    await store.guard.record(GuardRecord(source="crm", state=state))
    with pytest.raises(ConflictError, match="was not switched off"):
        await resume(store, config())


async def test_a_guard_that_may_not_switch_on_cannot_be_resumed(store: SqliteStore) -> None:
    with pytest.raises(ConflictError, match="reenable is false"):
        await resume(store, config(source=WATCHED.replace("true", "false")))
