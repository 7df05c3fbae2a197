"""`relay.operations.purge`: ages -> webhooks that are deleted, and one line of the audit."""

from datetime import timedelta

from relay.model import Retention
from relay.operations.purge import DONE_WITH, chosen_ages, one_age, purge
from relay.store.contract import Archive
from tests.cli.conftest import CYRILLIC, GARBLED, NOON, OFFER
from tests.operations.conftest import BY, last

DAY = timedelta(days=1)


async def test_what_is_older_goes_by_whoever_purges(store: Archive) -> None:
    counts = await purge(store, one_age(DAY, ["unparsed"]), by=BY, now=NOON + 2 * DAY)
    assert counts == {"unparsed": 2}
    assert await store.show(GARBLED) is None
    assert await store.show(CYRILLIC) is None
    entry = await last(store)
    assert (entry.command, entry.who, entry.count) == ("purge", BY, 2)
    assert entry.details == {"unparsed": "1 day, 0:00:00"}


async def test_a_dry_run_deletes_and_audits_nothing(store: Archive) -> None:
    assert await purge(store, one_age(DAY, ["unparsed"]), by=BY, now=NOON + 2 * DAY, dry_run=True) == {"unparsed": 2}
    assert await store.show(GARBLED)
    assert await store.audit(limit=9) == []


async def test_a_state_without_an_age_stays(store: Archive) -> None:
    assert await purge(store, one_age(DAY), by=BY, now=NOON + 100 * DAY) == {}
    assert await store.show(OFFER), "one of its deliveries is dead"


def test_by_an_age_alone_goes_only_what_is_done_with() -> None:
    assert one_age(DAY) == dict.fromkeys(DONE_WITH, DAY)


def test_ages_of_the_routes_file_can_be_narrowed_to_states() -> None:
    retention = Retention(delivered=DAY, dead=None)
    assert chosen_ages(retention, ["delivered", "dead"]) == {"delivered": DAY, "dead": None}
    assert chosen_ages(retention).keys() == {"delivered", "dead", "unrouted", "unparsed"}
