"""GET /acts/{act}/deliveries: what became of the deliveries of an act."""

from dataclasses import replace
from datetime import timedelta

import pytest

from relay.errors import NotFoundError
from relay.model import State
from relay.operations.act_deliveries import ACT_DELIVERIES, ActDeliveries
from relay.operations.audit import conditions, filter_of
from relay.operations.desk import Desk
from relay.operations.dismiss import DISMISS, Dismiss
from relay.operations.documents.acts import ActDeliveriesDocument
from relay.operations.pause import PAUSE, Pause
from relay.operations.replays import REPLAYS, Replays
from relay.operations.which import Which
from relay.store.contract import Archive
from relay.store.records import Filter
from tests.cli.conftest import MINUTE, NOON, OFFER, OK, event_of, settle
from tests.operations.conftest import last

HOUR = timedelta(hours=1)


async def of_last(desk: Desk, store: Archive, **more: object) -> ActDeliveriesDocument:
    return await desk.ask(ACT_DELIVERIES, ActDeliveries(act=(await last(store)).id, **more))  # type: ignore[arg-type]


def shown(found: ActDeliveriesDocument) -> list[tuple[str, str, str]]:
    return [(each.event, each.target, each.state) for each in found.data]


async def test_a_replay_has_its_deliveries_as_they_are_now(desk: Desk, store: Archive) -> None:
    await desk.ask(REPLAYS, Replays(filter=Which(target="warehouse", state=(State.DEAD,))))
    found = await of_last(desk, store)
    assert shown(found) == [(event_of(OFFER), "warehouse", "pending")]
    assert (found.states, found.more) == ({"pending": 1}, False)
    [claimed] = await store.claim("warehouse", limit=1, max_bytes=1, now=NOON + MINUTE, lease=MINUTE)
    await settle(store, claimed, OK)
    assert (await of_last(desk, store)).states == {"delivered": 1}
    assert (await of_last(desk, store, state=(State.DEAD,))).data == ()


async def test_a_replay_by_rate_and_by_ids_has_all_of_its_deliveries(desk: Desk, store: Archive) -> None:
    await desk.ask(REPLAYS, Replays(ids=(OFFER,), filter=Which(state=(State.DEAD, State.DELIVERED)), rate=0.5))
    assert {target for _event, target, _state in shown(await of_last(desk, store))} == {"sales-bot", "warehouse"}


async def test_what_was_replayed_again_is_of_the_later_act(desk: Desk, store: Archive) -> None:
    await desk.ask(REPLAYS, Replays(filter=Which(target="warehouse")))
    first = await last(store)
    [claimed] = await store.claim("warehouse", limit=1, max_bytes=1, now=NOON + MINUTE, lease=MINUTE)
    await settle(store, claimed, OK)
    second = replace(first, id=f"{first.id[:-4]}beef", at=NOON + HOUR)
    await store.replay(Filter(states=(State.DELIVERED,), target="warehouse"), second)
    assert (await desk.ask(ACT_DELIVERIES, ActDeliveries(act=first.id))).data == ()
    assert len((await desk.ask(ACT_DELIVERIES, ActDeliveries(act=second.id))).data) == 1


async def test_a_dismissal_has_what_it_dismissed(desk: Desk, store: Archive) -> None:
    await desk.ask(DISMISS, Dismiss(all_dead=True))
    assert shown(await of_last(desk, store)) == [(event_of(OFFER), "warehouse", "dead")]
    done = await last(store)
    later = replace(done, id=f"{done.id[:-4]}beef", at=NOON + HOUR)
    await store.record_audit(later, 1)
    assert (await desk.ask(ACT_DELIVERIES, ActDeliveries(act=later.id))).data == (), "another act dismissed it"


@pytest.mark.parametrize("act", ["nothing", "pause"])
async def test_an_act_without_deliveries_has_no_such_list(desk: Desk, store: Archive, act: str) -> None:
    await desk.ask(PAUSE, Pause(target="warehouse"))
    id_ = act if act == "nothing" else (await last(store)).id
    with pytest.raises(NotFoundError, match="no act about deliveries has the id"):
        await desk.ask(ACT_DELIVERIES, ActDeliveries(act=id_))


def test_conditions_that_an_act_changes_are_not_read_again() -> None:
    lasting = Filter(target="warehouse", entity_id="7", event_ids=("a", "b"), since=NOON, until=NOON + MINUTE)
    asked = Filter(target="warehouse", entity_id="7", event_ids=("a", "b"), since=NOON, until=NOON + MINUTE,
                   states=(State.DEAD,), reason="5xx", dismissed=False, settled_until=NOON)  # fmt: skip
    assert filter_of(conditions(asked, rate=2.0)) == lasting
