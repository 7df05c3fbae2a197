"""`relay.operations.tail`: signals -> what those who follow are shown."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from relay.model import Dead, Reason, RetryAt
from relay.operations.documents.webhooks import attempt_document
from relay.operations.tail import documents, masked_documents
from relay.signals import Committed, DuplicateReceived, Probed, Rejection, Signal
from relay.store.records import AttemptRecord
from tests.observe.conftest import NOON, attempted, event, kept, refused

PAYLOAD = b'{"type": "leads.note", "action": "note", "data": {"id": 5, "element_id": 7}}'


def an_attempt(*arguments: Any, **more: Any) -> Signal:
    made = attempted(*arguments, **more)
    return replace(made, delivery=replace(made.delivery, payload=PAYLOAD))


def told(*signals: Signal) -> list[dict[str, Any]]:
    return [document for signal in signals for document in documents(signal)]


def test_each_event_is_told_with_the_routes_that_took_it() -> None:
    first, second = told(kept(event(), event("contacts", "add"), routes=[["offer"], []]))
    assert first == {
        "what": "event",
        "source": "crm",
        "webhook": "w-1",
        "event": "e-1",
        "type": "leads.status",
        "entity_id": "4831596",
        "routes": ["offer"],
    }
    assert (second["type"], second["routes"]) == ("contacts.add", [])


def test_an_attempt_is_told_with_what_it_was_about_and_what_follows() -> None:
    delivered, again, dead = told(
        an_attempt(),
        an_attempt(Reason.SERVER_ERROR, RetryAt(NOON + timedelta(seconds=4)), status=503, detail="busy"),
        an_attempt(Reason.CLIENT_ERROR, Dead("answered 400, which is in dead_on"), status=400),
    )
    assert delivered == {
        "what": "attempt",
        "target": "warehouse",
        "event": "e-1",
        "type": "leads.note",
        "entity_id": "7",
        "attempt": 2,
        "replay": False,
        "reason": "2xx",
        "status": 200,
        "took": 0.01234,
        "detail": "",
        "verdict": "delivered",
    }
    assert (again["verdict"], again["due_at"], again["detail"]) == ("retry", "2026-11-22T12:00:04.000Z", "busy")
    assert (dead["verdict"], dead["why"]) == ("dead", "answered 400, which is in dead_on")


def test_what_is_corrupt_is_told_without_what_it_was_about() -> None:
    made = attempted(Reason.CORRUPT, Dead("corrupt"), status=None)
    [told_] = told(replace(made, delivery=replace(made.delivery, payload=b"\0\xff", corrupt=True)))
    assert (told_["verdict"], told_["type"], told_["entity_id"]) == ("dead", "", "")


def test_what_was_not_kept_or_not_read_or_kept_before_is_told_too() -> None:
    webhook = kept().webhook
    found = told(
        kept(unparsed="no events"),
        refused(detail="wrong"),
        DuplicateReceived(webhook=webhook, first="w-0", took=timedelta()),
    )
    assert found == [
        {"what": "unparsed", "source": "crm", "webhook": "w-1", "unparsed": "no events"},
        {"what": "refused", "source": "-", "outcome": "unauthorized", "remote": "192.0.2.7", "detail": "wrong"},
        {"what": "duplicate", "source": "crm", "webhook": "w-0"},
    ]


def test_a_duplicate_says_what_each_event_of_it_is_about() -> None:
    stored = kept(event(), event("contacts", "add"))
    found = told(DuplicateReceived(webhook=stored.webhook, first="w-0", took=timedelta(), routed=stored.routed))
    duplicate = {"what": "duplicate", "source": "crm", "webhook": "w-0"}
    assert found == [
        duplicate | {"type": "leads.status", "entity_id": "4831596"},
        duplicate | {"type": "contacts.add", "entity_id": stored.routed[1].event.entity_id},
    ]
    unread = kept(event(), unparsed="no events")
    again = DuplicateReceived(webhook=unread.webhook, first="w-0", took=timedelta(), routed=unread.routed)
    assert told(again) == [duplicate]


def test_a_misaddressed_request_is_told_with_its_address_a_stranger_not_at_all() -> None:
    wrong = replace(refused(Rejection.MISADDRESSED, detail="/hooks is missing"), address="POST /crm/***")
    [said, probe] = told(refused(Rejection.STRANGER), wrong, Probed(source="crm", remote="192.0.2.7"))
    assert (said["what"], said["outcome"], said["address"]) == ("refused", "misaddressed", "POST /crm/***")
    assert (probe["what"], probe["source"], probe["remote"]) == ("probe", "crm", "192.0.2.7")


def test_what_is_no_webhook_and_no_attempt_is_not_told() -> None:
    assert told(Committed(writes=1, took=timedelta())) == []


def test_what_an_attempt_returned_has_one_shape_here_and_in_show() -> None:
    made = an_attempt(Reason.SERVER_ERROR, RetryAt(NOON), status=503, detail="busy")
    [followed] = told(made)
    outcome = made.outcome
    record = AttemptRecord(
        number=2,
        started_at=NOON,
        took=outcome.took,
        verdict="retry",
        reason=outcome.reason,
        status=outcome.status,
        detail=outcome.detail,
    )
    shown = attempt_document(record, made.delivery)
    for name in ("reason", "status", "took", "detail", "verdict"):
        assert followed[name] == getattr(shown, name), name


def test_who_sees_no_payloads_sees_neither_texts_nor_where_a_request_came_from() -> None:
    [seen] = masked_documents(replace(refused(detail="Ann"), remote="192.0.2.7", address="/hooks/crm"))
    assert {seen[each] for each in ("detail", "remote", "address")} == {"***"}
    assert (seen["what"], seen["source"]) == ("refused", "-")
