"""Rounds of a source: what is wanted follows from the routes, the account and the store; requests are answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from relay.account.heal.brake import LOST_AT_LEAST
from relay.account.heal.channels import Stage
from relay.account.heal.reader import Params
from relay.account.heal.rounds import EVERY, UNKNOWN_CLOCK, Rounds, held_since, stages, subscribed
from relay.account.server_clock import ServerTime
from relay.errors import AccountAway
from relay.model import Account, Secret, Source
from relay.model.accounts import DpTrigger, Heal, HealMode
from relay.model.heal import HealRequest, HealState
from relay.model.names import Catalog, Pipeline
from relay.model.names import Stage as NamedStage
from relay.model.subscription import SwitchedOff
from relay.signals.account import SourceScanned
from relay.store.records import RelayStanding, Status
from tests.account.example_catalog import CATALOG
from tests.account.heal.schedule import HOUR, MINUTE
from tests.account.heal.world import HOOK, World, _plan
from tests.account.memory_store import MemoryStore

SOURCE = Source(name="crm", tokens=(Secret("token"),), account="main", heal=Heal(mode=HealMode.ON))
ACCOUNT = Account(name="main", host="example.amocrm.ru", token=Secret("x"))


class Requests(MemoryStore):
    """A store in which an operator asked for something."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[HealRequest] = []
        self.answers: dict[str, Any] = {}

    async def heal_requests(self, *, answered: bool = False) -> Sequence[HealRequest]:
        return [each for each in self.asked if each.id not in self.answers]

    async def answer_heal(self, id_: str, answer: Any) -> None:
        self.answers.setdefault(id_, answer)


@dataclass
class Guards:
    """What the guard knows of spans in which a person had switched the webhook off."""

    spans: list[SwitchedOff] = field(default_factory=list)

    async def switched_off(self, _source: str, *, since: Any) -> Sequence[SwitchedOff]:
        return self.spans


@dataclass
class Api:
    """The world's account, as a client asks it."""

    world: World
    knows_time: bool = True

    async def get(self, path: str, params: Params | None = None) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = await self.world._get(path, params or {})
        return found

    def server_time(self) -> ServerTime | None:
        return self.world.server() if self.knows_time else None


@dataclass
class Case:
    world: World
    store: Requests
    guards: Guards = field(default_factory=Guards)
    relays: list[RelayStanding] = field(default_factory=list)
    facts: list[SourceScanned] = field(default_factory=list)

    def rounds(self, source: Source = SOURCE, *, api: Api | None = None, catalog: Catalog | None = CATALOG) -> Rounds:
        async def status() -> Status:
            return Status(relays=tuple(self.relays))

        return Rounds(
            source,
            ACCOUNT,
            api=api or Api(self.world),
            store=self.store,
            guard=self.guards,  # type: ignore[arg-type]  # one of its verbs is all that is asked
            catalog=catalog,
            status=status,
            plan=_plan,
            clock=self.world.now,
            emit=self.facts.append,  # type: ignore[arg-type]
        )


@pytest.fixture
def case() -> Case:
    """An account that sends additions and moves of leads, and the relay has had one."""
    world = World(seed=11)
    store = Requests()
    world.store = store
    world.amo.add_lead()
    world.advance(HOUR)
    return Case(world, store)


def standing(**more: Any) -> RelayStanding:
    at = World(seed=1).now()
    return RelayStanding(name="a", host="h", pid=1, version="1", since=at, seen_at=at, **more)


async def lose(case: Case, rounds: Rounds) -> None:
    """Two leads that no webhook tells of, and the time for that to settle."""
    await rounds.round()
    left = [case.world.amo.add_lead] * 2
    case.world.outage(2 * HOUR, change=lambda: left.pop()() and None if left else None)
    case.world.advance(10 * MINUTE)


async def test_what_was_lost_is_healed_and_announced(case: Case) -> None:
    rounds = case.rounds()
    await lose(case, rounds)
    assert await rounds.round() == EVERY
    assert [each.type for each in case.world.healed()] == ["leads.add"] * 2
    healed = [each for fact in case.facts for each in fact.verdicts if each.state is HealState.HEALED]
    assert [(each.action, each.exactness, each.number) for each in healed] == [("leads.add", "state", 2)]
    upto = case.facts[-1].scanned_upto
    assert upto is not None
    assert case.world.server().at - upto < timedelta(minutes=3)


async def test_without_the_accounts_clock_nothing_is_done(case: Case) -> None:
    assert await case.rounds(api=Api(case.world, knows_time=False)).round() == UNKNOWN_CLOCK
    assert case.store.commits == 0


async def test_actions_of_the_file_limit_what_is_healed(case: Case) -> None:
    heal = Heal(mode=HealMode.ON, actions=frozenset({"leads.status"}))
    rounds = case.rounds(replace(SOURCE, heal=heal))
    await lose(case, rounds)
    await rounds.round()
    assert case.world.healed() == []
    assert case.store.known == {}


async def test_what_the_account_does_not_send_is_not_healed(case: Case) -> None:
    case.world.amo.subscriptions[0].settings = ["update_contact"]
    rounds = case.rounds()
    await lose(case, rounds)
    await rounds.round()
    assert case.world.healed() == []


async def test_what_a_person_switched_off_is_not_healed_until_it_is_asked_for(case: Case) -> None:
    rounds, began = case.rounds(), case.world.now()
    case.guards.spans = [SwitchedOff(began - timedelta(minutes=1))]
    await lose(case, rounds)
    await rounds.round()
    assert case.world.states()[HealState.UNHEALABLE] == 2
    for dry_run in (True, False):
        id_ = f"dry {dry_run}"
        request = HealRequest(id=id_, source="crm", since=began, dry_run=dry_run, asked_at=began)
        case.store.asked = [request, replace(request, id="other", source="shop")]
        await rounds.round()
        assert "other" not in case.store.answers
        assert len(case.world.healed()) == (0 if dry_run else 2)
    (found,) = [each for each in case.store.answers["dry False"]["found"] if each["state"] == "healed"]
    assert found == {"action": "leads.add", "exactness": "state", "state": "healed", "number": 2}


@pytest.mark.parametrize("ours", [True, False])
async def test_much_that_is_lost_waits_unless_amocrm_had_switched_the_webhook_off_for_failures_of_ours(
    case: Case, ours: bool
) -> None:
    rounds = case.rounds()
    case.world.amo.add_lead()
    case.world.advance(MINUTE)
    await rounds.round()
    if ours:
        case.guards.spans = [SwitchedOff(case.world.now() - timedelta(minutes=1), ours=True)]
    case.world.amo.quirks.lost = 1.0
    for _ in range(LOST_AT_LEAST):
        case.world.amo.add_lead()
    case.world.advance(2 * HOUR)
    await rounds.round()
    assert case.world.states()[HealState.HEALED if ours else HealState.WAITING] == LOST_AT_LEAST


@pytest.mark.parametrize("mode", [HealMode.REPORT, HealMode.ON])
async def test_a_report_counts_for_the_triggers_that_it_has_seen_and_nothing_is_sent_by_them(
    case: Case, mode: HealMode
) -> None:
    amo = case.world.amo
    offer = amo.structure.stage("Оффер")
    amo.add_trigger(offer.id, f"{HOOK}?try=1", "status")
    lead = amo.add_lead()
    amo.move(lead, offer)
    case.world.advance(MINUTE)
    rounds = case.rounds(replace(SOURCE, heal=Heal(mode=mode)))
    await rounds.round()
    amo.move(lead, amo.structure.stage("Переговоры"))
    case.world.advance(MINUTE)
    case.world.outage(2 * HOUR, change=lambda: lead.fields["status_id"] != offer.id and amo.move(lead, offer) and None)
    case.world.advance(10 * MINUTE)
    await rounds.round()
    lost = [each.state for each in case.store.known.values() if each.channel.startswith("dp:status:")]
    assert lost == ([HealState.MATCHED, HealState.WOULD_HEAL] if mode is HealMode.REPORT else [])


async def test_what_failed_is_said_to_who_asked(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """The round itself had passed: only what was asked reads so far back."""
    rounds, began = case.rounds(), case.world.now()
    case.world.clock.advance(HOUR)
    await rounds.round()
    case.store.asked = [HealRequest(id="a", source="crm", since=began, dry_run=True, asked_at=began)]
    case.world.clock.advance(60)
    real = case.world._get

    async def failing(path: str, params: Any) -> Any:
        if params.get("filter[created_at][from]", 1 << 40) <= began.timestamp():
            raise AccountAway("GET /api/v4/events: answered 502")
        return await real(path, params)

    monkeypatch.setattr(case.world, "_get", failing)
    with pytest.raises(AccountAway):
        await rounds.round()
    assert case.store.answers == {"a": {"error": "GET /api/v4/events: answered 502"}}


async def test_nothing_is_decided_while_a_spool_may_have_its_webhook(case: Case) -> None:
    rounds = case.rounds()
    case.relays = [standing(spooled=1, spooled_at=case.world.now())]
    await lose(case, rounds)
    await rounds.round()
    assert (case.world.healed(), case.world.states()[HealState.SEEN]) == ([], 2)
    case.relays = [standing(spooled=0)]
    await rounds.round()
    assert len(case.world.healed()) == 2


async def test_what_a_store_of_a_backup_seems_to_have_lost_waits_until_it_is_approved(case: Case) -> None:
    rounds = case.rounds()
    await lose(case, rounds)
    case.store.lost_at = case.world.now()
    await rounds.round()
    assert (case.world.healed(), case.world.states()[HealState.WAITING]) == ([], 2)
    case.world.advance(1)
    await case.store.approve("crm", at=case.world.now())
    await rounds.round()
    assert len(case.world.healed()) == 2


async def test_a_loss_of_long_ago_holds_nothing_up(case: Case) -> None:
    rounds = case.rounds()
    await lose(case, rounds)
    case.store.lost_at = case.world.now() - timedelta(days=8)
    await rounds.round()
    assert len(case.world.healed()) == 2


async def test_webhooks_that_came_late_are_counted_once_also_over_a_restart(case: Case) -> None:
    world, rounds = case.world, case.rounds(replace(SOURCE, heal=Heal(mode=HealMode.ON, proxied=False)))

    def late() -> int:
        return sum(each.number for fact in case.facts for each in fact.verdicts if each.state is HealState.LATE_HOOK)

    await rounds.round()
    world.answer = 503
    world.amo.add_lead()
    world.advance(MINUTE)
    for _ in range(12):
        world.advance(5 * MINUTE)
        await rounds.round()
    assert (len(world.healed()), late()) == (1, 0)
    world.answer = 200
    world.advance(40 * MINUTE)
    await rounds.round()
    assert (world.states()[HealState.LATE_HOOK], late()) == (1, 1)
    again = case.rounds(replace(SOURCE, heal=Heal(mode=HealMode.ON, proxied=False)))
    for _ in range(2):
        await again.round()
    assert late() == 1


def test_a_relay_that_is_gone_without_a_word_of_its_spool_holds_since_it_was_seen() -> None:
    gone = standing(spooled=None)
    assert held_since([standing(), gone]) == gone.seen_at
    assert held_since([standing()]) is None


def test_a_webhook_is_ours_by_its_path_whatever_its_host_and_query() -> None:
    def listing(*destinations: str) -> dict[str, Any]:
        return {
            "_embedded": {"webhooks": [{"destination": each, "settings": {"add_lead": 1}} for each in destinations]}
        }

    assert subscribed(SOURCE, listing("https://a.example/hooks/crm/token?x=1")) == ("add_lead",)
    assert subscribed(SOURCE, listing("https://a.example/hooks/crm/token2", "https://b.example/")) == ()
    assert subscribed(SOURCE, None) == subscribed(SOURCE, {}) == ()


def test_stages_of_triggers_are_found_by_name_by_id_and_by_both_ids() -> None:
    of_one = Pipeline(id=1, name="Продажи", stages=(NamedStage(id=11, name="Оффер"), NamedStage(id=142, name="Успех")))
    catalog = Catalog(host="x", as_of=World(seed=1).now(), pipelines=(of_one,))
    texts = ("Продажи/Оффер", "11", "Продажи/Успех", "Нет/Такой", "999")
    source = replace(SOURCE, heal=Heal(dp=tuple(DpTrigger(stage=text, on=("status",)) for text in texts)))
    assert stages(source, catalog) == {
        "Продажи/Оффер": Stage(1, 11),
        "11": Stage(1, 11),
        "Продажи/Успех": Stage(1, 142),
    }
    both = replace(
        SOURCE, heal=Heal(dp=(DpTrigger(stage="1/11", on=("status",)), DpTrigger(stage="11", on=("status",))))
    )
    assert stages(both, None) == {"1/11": Stage(1, 11)}
    other = Pipeline(id=2, name="Повторные", stages=(NamedStage(id=142, name="Успех"),))
    in_both = replace(SOURCE, heal=Heal(dp=(DpTrigger(stage="142", on=("status",)),)))
    assert stages(in_both, catalog) == {"142": Stage(1, 142)}
    assert stages(in_both, replace(catalog, pipelines=(of_one, other))) == {}


@pytest.mark.parametrize(("stage", "waits"), [("Продажи/Оффер", True), ("1/11", False)])
async def test_nothing_is_begun_before_the_names_that_are_wanted_were_fetched(
    case: Case, stage: str, waits: bool
) -> None:
    source = replace(SOURCE, heal=Heal(mode=HealMode.ON, dp=(DpTrigger(stage=stage, on=("status",)),)))
    await case.rounds(source, catalog=None).round()
    assert (case.facts == []) is waits
    assert (not await case.store.heal_marks("crm")) is waits
