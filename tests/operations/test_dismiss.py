"""`relay.operations.dismiss`: which dead deliveries and unparsed webhooks are dismissed, and what is refused."""

from datetime import timedelta

import pytest

from relay.errors import ConflictError, NotAllowed, NotFoundError
from relay.model import State
from relay.operations.desk import Desk
from relay.operations.dismiss import DISMISS, Dismiss
from relay.operations.reading import InvalidParameters
from relay.store.contract import Archive
from tests.cli.conftest import CALL, CYRILLIC, GARBLED, NOON, OFFER
from tests.operations.conftest import BY, last


async def dead(store: Archive) -> int:
    return sum(each.dead for each in (await store.status()).targets.values())


@pytest.mark.parametrize("asked", [Dismiss(all_dead=True), Dismiss(target="warehouse"), Dismiss(ids=(OFFER,))])
async def test_dead_deliveries_are_dismissed_by_id_by_filter_or_all(store: Archive, desk: Desk, asked: Dismiss) -> None:
    done = await desk.ask(DISMISS, asked)
    assert (done.deliveries, done.targets, done.unparsed) == (1, {"warehouse": 1}, 0)
    assert await dead(store) == 0
    assert ((await last(store)).command, (await last(store)).who) == ("dismiss", BY)
    assert (await desk.ask(DISMISS, Dismiss(all_dead=True))).deliveries == 0


async def test_a_dry_run_dismisses_nothing(store: Archive, desk: Desk) -> None:
    done = await desk.ask(DISMISS, Dismiss(all_dead=True, dry_run=True))
    assert (done.deliveries, done.targets) == (1, {"warehouse": 1})
    assert (await desk.ask(DISMISS, Dismiss(unparsed=True, dry_run=True))).unparsed == 2
    assert (await dead(store), (await store.status()).unparsed) == (1, 2)
    assert await store.audit(limit=9) == []


async def test_unparsed_webhooks_are_dismissed_all_or_by_time_or_by_id(store: Archive, desk: Desk) -> None:
    assert (await desk.ask(DISMISS, Dismiss(unparsed=True, until=NOON))).unparsed == 0
    assert (await desk.ask(DISMISS, Dismiss(ids=(GARBLED,)))).unparsed == 1
    assert [each.id for each in await store.unparsed(limit=9)] == [CYRILLIC]
    assert (await last(store)).command == "dismiss --unparsed"
    assert (await desk.ask(DISMISS, Dismiss(unparsed=True, since=NOON, until=NOON + timedelta(days=1)))).unparsed == 1
    assert (await store.status()).unparsed == 0
    assert (await last(store)).command == "dismiss --unparsed"


async def test_no_more_unparsed_webhooks_are_dismissed_than_were_counted(store: Archive, desk: Desk) -> None:
    with pytest.raises(ConflictError, match="2 are found now, and 1 were counted before"):
        await desk.ask(DISMISS, Dismiss(unparsed=True, most=1))
    assert (await store.status()).unparsed == 2
    assert (await desk.ask(DISMISS, Dismiss(unparsed=True, most=2))).unparsed == 2


async def test_an_id_under_which_nothing_is_dead_or_unparsed_is_refused(desk: Desk) -> None:
    with pytest.raises(NotFoundError, match="nothing is dead or unparsed under these ids"):
        await desk.ask(DISMISS, Dismiss(ids=(CALL,)))


async def test_a_name_that_nobody_knows_is_refused(desk: Desk) -> None:
    with pytest.raises(NotFoundError, match="no target 'warehous'"):
        await desk.ask(DISMISS, Dismiss(target="warehous"))


@pytest.mark.parametrize(
    "asked",
    [
        Dismiss(),
        Dismiss(all_dead=True, target="warehouse"),
        Dismiss(ids=(OFFER,), target="warehouse"),
        Dismiss(unparsed=True, target="warehouse"),
        Dismiss(unparsed=True, all_dead=True),
        Dismiss(target="warehouse", state=(State.DELIVERED,)),
        Dismiss(target="warehouse", dismissed=True),
    ],
    ids=str,
)
async def test_a_choice_that_names_nothing_or_too_much_is_refused(store: Archive, desk: Desk, asked: Dismiss) -> None:
    with pytest.raises(InvalidParameters):
        await desk.ask(DISMISS, asked)
    assert await dead(store) == 1


async def test_a_viewer_may_not(viewers_desk: Desk) -> None:
    with pytest.raises(NotAllowed):
        await viewers_desk.ask(DISMISS, Dismiss(all_dead=True))
