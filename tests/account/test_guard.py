"""The guard of a subscription, against the double of amoCRM on its own time and a SQLite store."""

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from relay.account.guard import Guard
from relay.errors import AccountAway
from relay.model import Guard as GuardSetting
from relay.model import Reenable, Secret, Source
from relay.model.heal import Span
from relay.model.subscription import SubscriptionState, SwitchedOff
from relay.signals import Signal
from relay.signals.account import SubscriptionChanged, SubscriptionReenabled
from relay.store.sqlite.store import SqliteStore
from tests.account.fake_api import FakeApi, clock_of
from tests.fakeamo.amo import FakeAmo
from tests.fakeamo.clock import VirtualClock
from tests.store.conftest import act

URL = "https://hooks.example.com/hooks/crm/first-token"
FOREIGN = "https://somebody.example/hook"
NEEDED = ["add_lead", "status_lead"]
HOUR = timedelta(hours=1)


class Scene:
    """An account with our webhook and another's, and the guard of ours."""

    def __init__(self, store: SqliteStore, **quirks: bool) -> None:
        self.clock = VirtualClock()
        self.amo = FakeAmo(7, clock=self.clock, **quirks)
        self.api = FakeApi(self.amo)
        self.store = store
        self.outages: list[Span] = []
        self.emitted: list[Signal] = []
        self.unreachable: str | None = None
        self.tested: list[str] = []
        self.amo.subscribe(FOREIGN, ["add_lead"])
        self.foreign = replace(self.subscription(FOREIGN))

    @property
    def now(self) -> datetime:
        return clock_of(self.amo)

    def subscription(self, destination: str = URL):  # type: ignore[no-untyped-def]
        return self.amo.webhooks.known(destination)

    def guard(self, reenable: Reenable = Reenable.FALSE, *, accounts: frozenset[str] = frozenset()) -> Guard:
        source = Source(
            name="crm",
            tokens=(Secret("first-token"), Secret("second-token")),
            accounts=accounts,
            account="main",
            guard=GuardSetting(url="https://hooks.example.com", reenable=reenable),
        )

        async def outages(_since: datetime) -> list[Span]:
            return self.outages

        async def test(destination: Secret) -> str | None:
            self.tested.append(destination.reveal())
            return self.unreachable

        return Guard(
            source,
            NEEDED,
            api=self.api,
            store=self.store.guard,
            outages=outages,
            test=test,
            emit=self.emitted.append,
            clock=lambda: self.now,
        )

    async def refuse(self, number: int = 101) -> None:
        """Answer so many webhooks with 503: amoCRM counts them, and so do we."""
        for _ in range(number):
            self.subscription().note_answer(503, self.clock(), 100)
        minute = self.now.replace(second=0, microsecond=0)
        await self.store.guard.record_failed_answers("crm", {minute: number})

    def states(self) -> list[SubscriptionState]:
        return [each.state for each in self.emitted if isinstance(each, SubscriptionChanged)]

    def reenabled(self) -> int:
        return sum(isinstance(each, SubscriptionReenabled) for each in self.emitted)

    async def gaps(self, *, ours: bool = False) -> list[SwitchedOff]:
        found = await self.store.guard.switched_off("crm", since=self.now - timedelta(days=7))
        return [each for each in found if each.ours == ours]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    now = clock_of(FakeAmo(7, clock=VirtualClock()))
    opened = SqliteStore.open(tmp_path / "relay.db", now=now, emit=lambda _signal: None, failed=lambda: None)
    yield opened
    await opened.close()


@pytest.fixture
def scene(store: SqliteStore) -> Scene:
    made = Scene(store)
    made.amo.subscribe(URL, [*NEEDED])
    return made


@pytest.fixture
def new_scene(store: SqliteStore) -> Callable[..., Scene]:
    def new(**quirks: bool) -> Scene:
        made = Scene(store, **quirks)
        made.amo.subscribe(URL, [*NEEDED])
        return made

    return new


# ---- what it sees


async def test_a_webhook_that_is_on_and_has_the_settings_is_ok(scene: Scene) -> None:
    record = await scene.guard().look()
    assert (record.state, record.detail) == (SubscriptionState.OK, "")
    assert record.seen_on_at == record.checked_at == scene.now
    assert await scene.store.guard.records() == {"crm": record}


async def test_a_state_is_announced_once(scene: Scene) -> None:
    guard = scene.guard()
    await guard.look()
    await guard.look()
    assert scene.states() == [SubscriptionState.OK]
    scene.amo.switch_off(URL)
    await guard.look()
    await guard.look()
    assert scene.states() == [SubscriptionState.OK, SubscriptionState.DISABLED]


@pytest.mark.parametrize("disconnects", [True, False])
async def test_a_webhook_that_an_operator_is_just_setting_up_or_deleting_raises_no_alarm(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, disconnects: bool
) -> None:
    """As `relay connect` and `disconnect` do, between two requests of a look."""
    real, asked = scene.api.get, []

    async def get(path: str, params: Any = None, **how: Any) -> Any:
        asked.append(path)
        if disconnects and len(asked) == 1:
            await scene.store.guard.switch("crm", off=True, act=act())
            scene.amo.subscriptions.remove(scene.subscription())
        found = await real(path, params, **how)
        if not disconnects and len(asked) == 3:
            scene.amo.subscribe(URL, [*NEEDED])
        return found

    if not disconnects:
        scene.amo.subscriptions.remove(scene.subscription())
    monkeypatch.setattr(scene.api, "get", get)
    record = await scene.guard().look()
    assert scene.states() == ([] if disconnects else [SubscriptionState.OK])
    assert record.off is disconnects
    assert await scene.gaps() == []


@pytest.mark.parametrize(
    "spoil, state, said",
    [
        (lambda s: s.amo.switch_off(URL), SubscriptionState.DISABLED, "switched off"),
        (lambda s: s.amo.subscriptions.remove(s.subscription()), SubscriptionState.MISSING, "relay connect"),
        (lambda s: s.subscription().settings.remove("status_lead"), SubscriptionState.SETTINGS_DIFFER, "status_lead"),
        (lambda s: s.amo.subscribe(URL.replace("first", "second"), NEEDED), SubscriptionState.SETTINGS_DIFFER, "twice"),
        (lambda s: s.amo.faults.plan("no rights"), SubscriptionState.NO_RIGHTS, "403"),
        (lambda s: s.amo.faults.plan("unauthorized"), SubscriptionState.NO_RIGHTS, "401"),
        (lambda s: s.amo.faults.plan("unpaid"), SubscriptionState.UNPAID, "402"),
        (lambda s: s.amo.faults.plan("502"), SubscriptionState.API_AWAY, "502"),
    ],
)
async def test_what_is_wrong_is_told(
    scene: Scene, spoil: Callable[[Scene], object], state: SubscriptionState, said: str
) -> None:
    spoil(scene)
    record = await scene.guard(Reenable.FALSE).look()
    assert record.state is state
    assert said in record.detail


async def test_a_token_of_another_account_is_told(scene: Scene) -> None:
    record = await scene.guard(accounts=frozenset({"elsewhere"})).look()
    assert record.state is SubscriptionState.WRONG_ACCOUNT
    record = await scene.guard(accounts=frozenset({str(scene.amo.structure.id)})).look()
    assert record.state is SubscriptionState.OK


async def test_a_webhook_of_the_second_token_alone_is_ours(scene: Scene) -> None:
    scene.subscription().destination = URL.replace("first", "second")
    assert (await scene.guard().look()).state is SubscriptionState.OK


async def test_an_api_that_is_away_hides_no_trouble(scene: Scene) -> None:
    guard = scene.guard()
    scene.amo.switch_off(URL)
    await guard.look()
    scene.amo.faults.plan("502")
    assert (await guard.look()).state is SubscriptionState.DISABLED
    assert scene.states() == [SubscriptionState.DISABLED]


async def test_what_fails_alike_at_each_look_is_told_once_whatever_the_requests_are_called(scene: Scene) -> None:
    guard = scene.guard()
    for _ in range(3):
        scene.amo.faults.plan("no rights", "/api/v4/webhooks", times=1)
        assert (await guard.look()).state is SubscriptionState.NO_RIGHTS
    assert scene.states() == [SubscriptionState.NO_RIGHTS]


async def test_no_token_is_in_what_is_told(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_args: object, **_options: object) -> None:
        raise AccountAway(f"Cannot GET {URL}")

    monkeypatch.setattr(scene.api, "get", away)
    record = await scene.guard().look()
    assert "first-token" not in f"{record} {scene.emitted}"
    assert "Cannot GET" in record.detail


# ---- what a person switched off stays off


@pytest.mark.parametrize("reenable", Reenable)
async def test_what_a_person_switched_off_stays_off(scene: Scene, reenable: Reenable) -> None:
    guard = scene.guard(reenable)
    await guard.look()
    scene.amo.switch_off(URL)
    for _ in range(30):
        scene.clock.advance(300)
        await guard.look()
    assert scene.subscription().disabled
    assert not scene.reenabled()
    assert scene.api.sent.count("POST /api/v4/webhooks") == 0


async def test_failures_that_come_after_it_was_switched_off_are_no_cause(scene: Scene) -> None:
    guard = scene.guard(Reenable.TRUE)
    await guard.look()
    scene.amo.switch_off(URL)
    scene.clock.advance(300)
    await guard.look()
    scene.clock.advance(300)
    await scene.refuse(200)
    scene.outages = [Span(scene.now - HOUR / 12, scene.now)]
    scene.clock.advance(300)
    await guard.look()
    assert scene.subscription().disabled


@pytest.mark.parametrize("refused", [0, 99])
async def test_too_few_failures_are_no_cause(scene: Scene, refused: int) -> None:
    guard = scene.guard(Reenable.TRUE)
    await guard.look()
    await scene.refuse(refused)
    scene.amo.switch_off(URL)
    scene.clock.advance(60)
    await guard.look()
    assert scene.subscription().disabled


async def test_restarts_are_no_cause(scene: Scene) -> None:
    guard = scene.guard(Reenable.TRUE)
    await guard.look()
    scene.clock.advance(300)
    scene.outages = [
        Span(scene.now - timedelta(seconds=15 * n + 12), scene.now - timedelta(seconds=15 * n)) for n in (1, 2)
    ]
    scene.amo.switch_off(URL)
    await guard.look()
    assert scene.subscription().disabled


async def test_old_failures_are_no_cause(scene: Scene) -> None:
    guard = scene.guard(Reenable.TRUE)
    await scene.refuse(100)
    scene.clock.advance(2.1 * 3600)
    await guard.look()
    scene.amo.switch_off(URL)
    scene.clock.advance(300)
    await guard.look()
    assert scene.subscription().disabled


async def test_a_gap_of_a_person_begins_when_it_was_last_seen_on_and_ends_when_it_is_on_again(scene: Scene) -> None:
    guard = scene.guard(Reenable.TRUE)
    await guard.look()
    seen_on = scene.now
    scene.amo.switch_off(URL)
    scene.clock.advance(300)
    await guard.look()
    assert await scene.gaps() == [SwitchedOff(seen_on)]
    scene.clock.advance(3600)
    await guard.look()
    scene.amo.switch_on(URL)
    scene.clock.advance(300)
    await guard.look()
    assert await scene.gaps() == [SwitchedOff(seen_on, scene.now)]


async def test_a_webhook_that_a_person_deleted_is_a_gap_too_and_nobody_creates_it(scene: Scene) -> None:
    guard = scene.guard(Reenable.RECREATE)
    await guard.look()
    seen_on = scene.now
    scene.amo.subscriptions.remove(scene.subscription())
    scene.clock.advance(300)
    await guard.look()
    assert await scene.gaps() == [SwitchedOff(seen_on)]
    assert scene.subscription() is None


async def test_a_person_may_switch_it_off_again_after_the_guard_has_switched_it_on(scene: Scene) -> None:
    guard = scene.guard(Reenable.TRUE)
    await guard.look()
    await scene.refuse()
    scene.clock.advance(300)
    await guard.look()
    assert scene.reenabled() == 1
    scene.amo.switch_off(URL)
    scene.clock.advance(300)
    await guard.look()
    assert scene.subscription().disabled, "each cause counts once"
    assert scene.reenabled() == 1


async def test_switched_on_by_hand_after_our_failures_and_off_again_it_stays_off(scene: Scene) -> None:
    guard = scene.guard(Reenable.TRUE)
    await guard.look()
    await scene.refuse()
    scene.unreachable = "no connection"
    scene.clock.advance(300)
    await guard.look()
    scene.amo.switch_on(URL)
    scene.unreachable = None
    await guard.look()
    scene.clock.advance(300)
    scene.amo.switch_off(URL)
    await guard.look()
    assert scene.subscription().disabled


# ---- what our failures switched off


async def test_after_100_failed_answers_it_is_switched_on_again(scene: Scene) -> None:
    guard = scene.guard(Reenable.TRUE)
    await guard.look()
    await scene.refuse()
    assert scene.subscription().disabled
    scene.clock.advance(120)
    record = await guard.look()
    assert record.state is SubscriptionState.OK
    assert not scene.subscription().disabled
    assert scene.tested == [URL]
    assert scene.reenabled() == 1
    assert await scene.gaps() == [], "this gap heals"


async def test_a_gap_of_ours_begins_when_it_was_last_seen_on_and_ends_when_it_is_on_again(scene: Scene) -> None:
    await scene.guard(Reenable.FALSE).look()
    seen_on = scene.now
    await scene.refuse()
    scene.clock.advance(120)
    await scene.guard(Reenable.FALSE).look()
    assert await scene.gaps(ours=True) == [SwitchedOff(seen_on, ours=True)]
    scene.clock.advance(3600)
    await scene.guard(Reenable.TRUE).look()
    assert await scene.gaps(ours=True) == [SwitchedOff(seen_on, scene.now, ours=True)]


async def test_after_an_outage_it_is_switched_on_again(scene: Scene) -> None:
    await scene.guard(Reenable.TRUE).look()
    began = scene.now + HOUR / 60
    scene.clock.advance(5 * 3600)
    scene.outages = [Span(began, scene.now - HOUR / 60)]
    scene.subscription().disabled = True
    record = await scene.guard(Reenable.TRUE).look()
    assert record.state is SubscriptionState.OK
    assert await scene.gaps() == []


async def test_with_reenabling_off_one_alarm_and_nothing_else(scene: Scene) -> None:
    guard = scene.guard(Reenable.FALSE)
    await guard.look()
    await scene.refuse()
    for _ in range(10):
        scene.clock.advance(300)
        await guard.look()
    assert scene.states() == [SubscriptionState.OK, SubscriptionState.DISABLED]
    assert {each.partition(" ")[0] for each in scene.api.sent} == {"GET"}
    assert await scene.gaps() == [], "it heals once somebody switches it on"


async def test_while_our_address_does_not_answer_it_stays_off(scene: Scene) -> None:
    guard = scene.guard(Reenable.TRUE)
    await guard.look()
    await scene.refuse()
    scene.unreachable = "no connection within 5 s"
    for _ in range(50):
        scene.clock.advance(300)
        record = await guard.look()
    assert scene.subscription().disabled
    assert "no connection within 5 s" in record.detail
    scene.unreachable = None
    assert (await guard.look()).state is SubscriptionState.OK, "four hours later, the cause still counts"


async def test_the_settings_that_others_gave_it_stay(scene: Scene) -> None:
    scene.subscription().settings.append("add_contact")
    guard = scene.guard(Reenable.TRUE)
    await scene.refuse()
    await guard.look()
    assert sorted(scene.subscription().settings) == ["add_contact", "add_lead", "status_lead"]


async def test_a_webhook_of_somebody_else_is_never_touched(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene(post_enables=False)
    guard = scene.guard(Reenable.RECREATE)
    await guard.look()
    await scene.refuse()
    await guard.look()
    assert scene.subscription(FOREIGN) == scene.foreign


async def test_a_try_in_vain_is_not_repeated_until_an_operator_resumes(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene(post_enables=False)
    guard = scene.guard(Reenable.TRUE)
    await guard.look()
    await scene.refuse()
    for _ in range(5):
        scene.clock.advance(300)
        record = await guard.look()
    assert scene.api.sent.count("POST /api/v4/webhooks") == 1
    assert "relay guard resume crm" in record.detail
    await scene.store.guard.resume("crm", act(at=scene.now, command="guard resume"))
    for _ in range(5):
        await guard.look()
        scene.clock.advance(300)
    assert scene.api.sent.count("POST /api/v4/webhooks") == 2
    assert await scene.gaps() == [], "we were the cause, whoever switches it on"


async def test_what_a_person_switched_off_is_switched_on_when_an_operator_resumes(scene: Scene) -> None:
    guard = scene.guard(Reenable.TRUE)
    await guard.look()
    scene.amo.switch_off(URL)
    scene.clock.advance(300)
    await guard.look()
    await scene.store.guard.resume("crm", act(at=scene.now, command="guard resume"))
    assert (await guard.look()).state is SubscriptionState.OK
    scene.amo.switch_off(URL)
    scene.clock.advance(300)
    assert (await guard.look()).state is SubscriptionState.DISABLED, "one resume is for one switch-off"


async def test_new_failures_after_it_was_switched_on_are_a_new_cause(scene: Scene) -> None:
    guard = scene.guard(Reenable.TRUE)
    await guard.look()
    for _ in range(3):
        scene.clock.advance(600)
        await scene.refuse()
        scene.clock.advance(120)
        assert (await guard.look()).state is SubscriptionState.OK
    assert scene.reenabled() == 3


async def test_a_source_that_was_disconnected_is_left_alone(scene: Scene) -> None:
    guard = scene.guard(Reenable.TRUE)
    await guard.look()
    asked = len(scene.api.sent)
    await scene.store.guard.switch("crm", off=True, act=act(command="disconnect"))
    scene.amo.switch_off(URL)
    await guard.look()
    assert len(scene.api.sent) == asked


# ---- recreate


async def test_recreate_deletes_it_and_creates_it_with_the_same_settings(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene(post_enables=False)
    guard = scene.guard(Reenable.RECREATE)
    await guard.look()
    scene.subscription().settings.append("add_contact")
    first = scene.subscription().id
    await scene.refuse()
    record = await guard.look()
    assert record.state is SubscriptionState.OK
    assert record.recreating == ()
    assert scene.subscription().id != first
    assert sorted(scene.subscription().settings) == ["add_contact", "add_lead", "status_lead"]


async def test_recreate_deletes_nothing_if_a_post_was_enough(scene: Scene) -> None:
    guard = scene.guard(Reenable.RECREATE)
    first = scene.subscription().id
    await scene.refuse()
    await guard.look()
    assert scene.subscription().id == first


class Killed(BaseException):
    """What a kill is to the code: nothing after it runs."""


@pytest.mark.parametrize("step", range(18))
async def test_a_kill_at_any_request_or_commit_leaves_no_account_without_a_webhook(
    new_scene: Callable[..., Scene], step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = new_scene(post_enables=False)
    await scene.guard(Reenable.RECREATE).look()
    await scene.refuse()
    left = step

    def dying(verb):  # type: ignore[no-untyped-def]
        async def call(*args: object, **options: object) -> object:
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            return await verb(*args, **options)

        return call

    with monkeypatch.context() as patched:
        for verb in ("get", "post", "delete"):
            patched.setattr(scene.api, verb, dying(getattr(scene.api, verb)))
        patched.setattr(scene.store.guard, "record", dying(scene.store.guard.record))
        with suppress(Killed):
            await scene.guard(Reenable.RECREATE).look()
    scene.clock.advance(300)
    await scene.guard(Reenable.RECREATE).look()
    record = await scene.guard(Reenable.RECREATE).look()
    assert record.state is SubscriptionState.OK
    assert not scene.subscription().disabled
    assert record.recreating == ()


async def test_one_that_was_deleted_and_could_not_be_created_is_an_alarm_and_created_later(
    new_scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = new_scene(post_enables=False)
    guard = scene.guard(Reenable.RECREATE)
    await guard.look()
    await scene.refuse()
    delete = scene.api.delete

    async def then_away(*args: object, **options: object) -> None:
        await delete(*args, **options)  # type: ignore[arg-type]
        scene.amo.faults.plan("500", method="POST")

    monkeypatch.setattr(scene.api, "delete", then_away)
    record = await guard.look()
    assert record.state is SubscriptionState.MISSING
    assert "not created anew yet" in record.detail
    assert await scene.gaps() == []
    assert (await guard.look()).state is SubscriptionState.OK
