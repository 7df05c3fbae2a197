"""The tail holds the newest webhooks, so many and so large at most, with all that their events need."""

from relay.amocrm.events import dump
from relay.model import Event, RoutedEvent
from relay.store.bare_events import bare, whole
from relay.store.spool import tail
from relay.store.spool.tail import Tail
from tests.store.conftest import NOON, routed, to
from tests.store.spool.conftest import request


def ids(kept: Tail) -> list[str]:
    return [each.webhook.id for page in kept.pages(2) for each in page]


def test_it_is_in_the_order_of_the_commits_and_drops_the_oldest(monkeypatch) -> None:
    monkeypatch.setattr(tail, "MOST_WEBHOOKS", 3)
    kept = Tail(lambda: 0.0)
    for number in (1, 2, 3, 4):
        kept.add(request(number))
    kept.add(request(2))
    assert ids(kept) == ["webhook-0003", "webhook-0004", "webhook-0002"]


def test_it_is_no_larger_than_it_may_be(monkeypatch) -> None:
    kept = Tail(lambda: 0.0)
    kept.add(request(1))
    monkeypatch.setattr(tail, "MOST_BYTES", 2 * kept._size)
    for number in (2, 3, 4):
        kept.add(request(number))
    assert ids(kept) == ["webhook-0003", "webhook-0004"]


def test_only_a_newer_commit_makes_one_too_old() -> None:
    now = 0.0
    kept = Tail(lambda: now)
    kept.add(request(1))
    now = 1_000.0
    assert ids(kept) == ["webhook-0001"]
    kept.add(request(2))
    assert ids(kept) == ["webhook-0002"]
    now = 1_119.0
    kept.renew()
    now = 1_200.0
    kept.add(request(3))
    assert ids(kept) == ["webhook-0002", "webhook-0003"]


def test_an_event_is_whole_again() -> None:
    event = Event(
        id="event-0001",
        source="crm",
        received_at=NOON,
        account={"id": "30770011"},
        entity="leads",
        action="note",
        data={"element_id": "7", "id": "8", "updated_at": "1700000000"},
        query={"try": "1"},
    )
    given = RoutedEvent(event=event, payload=dump(event), planned=(to(),), routes=("all",))
    assert bare(given).event.entity_id == "7"
    assert bare(given).event.account == {}
    assert whole(bare(given)) == given


def test_one_that_is_no_json_of_ours_is_left_as_it_is() -> None:
    given = routed(1, to())
    assert whole(bare(given)) == bare(given)
    assert bare(given).event.entity_id == given.event.entity_id
