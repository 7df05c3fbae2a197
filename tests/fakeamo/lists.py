"""Lists of leads, contacts, companies, customers, tasks, notes, incoming leads and talks."""

from collections.abc import Callable, Sequence

from tests.fakeamo.conversations import Talk
from tests.fakeamo.documents import NOTHING, hal, listed, problem, with_self
from tests.fakeamo.incoming import Incoming
from tests.fakeamo.query import Query
from tests.fakeamo.records import Records
from tests.fakeamo.values import Card, FakeAnswer, Fields

KINDS = ("leads", "contacts", "companies", "customers")
ORDERS = {
    "leads": ("created_at", "updated_at", "id"),
    "tasks": ("created_at", "complete_till", "updated_at", "id"),
    "notes": ("updated_at", "id"),
}


class Lists:
    def __init__(self, records: Records, incoming: dict[str, Incoming], talks: dict[int, Talk]) -> None:
        self._records = records
        self._incoming = incoming
        self._talks = talks

    # ---- leads, contacts, companies, customers

    def cards(self, kind: str, query: Query) -> FakeAnswer:
        """The filters of this list are ignored without the account's alpha flag."""
        wanted = "bin" if "only_deleted" in query.many("with") else "live"
        cards = [card for card in self._records.cards[kind].values() if card.state == wanted]
        if self._records.quirks.alpha or self._records.quirks.kommo:
            cards = [card for card in cards if passes(card.fields, query, ALPHA_LISTS, ALPHA_SPANS)]
        if statuses := self._statuses(query):
            cards = [card for card in cards if status_of(card) in statuses or status_of(card)[:1] in statuses]
        items = [self._document(card, query) for card in ordered(cards, query, ORDERS.get(kind, ("updated_at", "id")))]
        return listed(kind, items, query, self._records.base)

    def card(self, kind: str, number: int, query: Query) -> FakeAnswer:
        """204 if it is gone; with=only_deleted shows the bin."""
        found = self._records.cards[kind].get(number)
        visible = ("live", "bin") if "only_deleted" in query.many("with") else ("live",)
        return hal(self._document(found, query)) if found and found.state in visible else NOTHING

    def _statuses(self, query: Query) -> set[tuple[str, ...]]:
        if not (self._records.quirks.alpha or self._records.quirks.kommo):
            return set()
        name = "filter[statuses]"
        numbers = {each[len(name) :].split("]")[0] for each in query.names(name)}
        found = set()
        for number in numbers:
            pipeline, status = (query.one(f"{name}{number}][{key}]") for key in ("pipeline_id", "status_id"))
            found.add((pipeline or "", status) if status else (pipeline or "",))
        return found

    def _document(self, card: Card, query: Query) -> Fields:
        asked = query.many("with")
        if card.state == "bin":
            names = ("id", "updated_at", "updated_by", "is_deleted")
            return with_self({name: card.fields[name] for name in names}, self._records.base, f"/api/v4/{card.kind}")
        embedded = {**card.fields["_embedded"]}
        if card.kind == "leads" and "contacts" in asked:
            embedded["contacts"] = [{"id": each, "is_main": at == 0} for at, each in enumerate(card.contacts)]
        if card.kind == "contacts" and "leads" in asked:
            embedded["leads"] = [{"id": each} for each in card.leads]
        embedded["companies"] = [{"id": each} for each in card.companies]
        return with_self({**card.fields, "_embedded": embedded}, self._records.base, f"/api/v4/{card.kind}")

    # ---- tasks, notes, incoming leads, talks: their filters are for every account

    def tasks(self, query: Query) -> FakeAnswer:
        """Deleted ones are not listed."""
        cards = [card for card in self._records.cards["tasks"].values() if card.state == "live"]
        cards = [card for card in cards if passes(card.fields, query, TASK_LISTS, ("updated_at",))]
        items = [
            with_self(card.fields, self._records.base, "/api/v4/tasks")
            for card in ordered(cards, query, ORDERS["tasks"])
        ]
        return listed("tasks", items, query, self._records.base)

    def task(self, number: int) -> FakeAnswer:
        card = self._records.cards["tasks"].get(number)
        return (
            hal(with_self(card.fields, self._records.base, "/api/v4/tasks"))
            if card and card.state == "live"
            else NOTHING
        )

    def notes(self, kind: str, query: Query, *, entity: int | None = None, number: int | None = None) -> FakeAnswer:
        """`filter[created_at]` is ignored without a word."""
        notes = [note for note in self._records.notes.values() if note["entity_type"] == kind]
        if entity is not None:
            notes = [note for note in notes if note["entity_id"] == entity]
        path = f"/api/v4/{kind}/notes"
        if number is not None:
            found = next((note for note in notes if note["id"] == number), None)
            return hal(with_self(shown(found), self._records.base, path)) if found else NOTHING
        notes = [note for note in notes if passes(note, query, NOTE_LISTS, ("updated_at",))]
        notes = sorted_by(notes, query, ORDERS["notes"], lambda note: note)
        return listed(
            "notes", [with_self(shown(note), self._records.base, path) for note in notes], query, self._records.base
        )

    def unsorted(self, query: Query) -> FakeAnswer:
        items = [item.fields for item in self._incoming.values()]
        items = [item for item in items if passes(item, query, ("uid", "category", "pipeline_id"), ())]
        items = sorted_by(items, query, ("created_at", "updated_at"), lambda item: item)
        return listed("unsorted", [self._incoming_document(item) for item in items], query, self._records.base)

    def one_unsorted(self, uid: str) -> FakeAnswer:
        found = self._incoming.get(uid)
        return hal(self._incoming_document(found.fields)) if found else NOTHING

    def _incoming_document(self, item: Fields) -> Fields:
        return {**item, "_links": {"self": {"href": f"{self._records.base}/api/v4/leads/unsorted/{item['uid']}"}}}

    def talks(self, query: Query) -> FakeAnswer:
        talks = [talk.fields for talk in self._talks.values()]
        talks = [
            each for each in talks if passes(each, query, ("contact_id", "talk_id", "entity_id", "entity_type"), ())
        ]
        if query.one("filter[only_in_work]"):
            talks = [each for each in talks if each["is_in_work"]]
        return listed("talks", sorted_by(talks, query, ("updated_at",), lambda talk: talk), query, self._records.base)

    def talk(self, number: int) -> FakeAnswer:
        found = self._talks.get(number)
        return hal(found.fields) if found else NOTHING

    def messages(self) -> FakeAnswer:
        """Of Kommo alone, and not without a scope that no integration here has."""
        return problem(403, "Invalid scope") if self._records.quirks.kommo else problem(404, "Cannot GET")


ALPHA_LISTS = ("id", "name", "pipeline_id", "created_by", "updated_by", "responsible_user_id")
ALPHA_SPANS = ("price", "created_at", "updated_at", "closed_at", "closest_task_at")
TASK_LISTS = ("id", "responsible_user_id", "is_completed", "task_type_id", "entity_type", "entity_id", "created_by")
NOTE_LISTS = ("id", "entity_id", "note_type")


def passes(fields: Fields, query: Query, lists: Sequence[str], spans: Sequence[str]) -> bool:
    """Whether an item passes the filters that its list knows; a lone number for a span finds nothing."""
    for name in lists:
        if (wanted := query.many(f"filter[{name}]")) and text(fields.get(name)) not in wanted:
            return False
    for name in spans:
        if query.one(f"filter[{name}]") is not None:
            return False
        span = query.span(f"filter[{name}]")
        if span and not (fields.get(name) is not None and span[0] <= fields[name] <= span[1]):
            return False
    return True


def text(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def status_of(card: Card) -> tuple[str, ...]:
    return str(card.fields["pipeline_id"]), str(card.fields["status_id"])


def ordered(cards: Sequence[Card], query: Query, allowed: Sequence[str]) -> Sequence[Card]:
    return sorted_by(cards, query, allowed, lambda card: card.fields)


def sorted_by(items: Sequence, query: Query, allowed: Sequence[str], fields: Callable[..., Fields]) -> list:
    for name in allowed:
        if (way := query.one(f"order[{name}]")) is not None:
            return sorted(
                items, key=lambda item: (fields(item).get(name) or 0, fields(item).get("id", 0)), reverse=way == "desc"
            )
    return sorted(items, key=lambda item: fields(item).get("id", 0))


def shown(note: Fields) -> Fields:
    """A note as its list has it: without the kind of its entity, which the path says."""
    return {name: value for name, value in note.items() if name != "entity_type"}
