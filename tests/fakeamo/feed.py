"""GET /api/v4/events: the account's history, newest first whatever is asked."""

from collections.abc import Iterator

from tests.fakeamo import types
from tests.fakeamo.documents import NOTHING, hal, listed, problem
from tests.fakeamo.query import Query
from tests.fakeamo.records import Records
from tests.fakeamo.values import FakeAnswer, FeedEvent, Fields, Json

ENTITIES = ("lead", "contact", "company", "customer", "task")
INVALID = "Invalid params passed to filter"
CONFLICT = "Given filter conflict with other params. Entity doesn't match type filter"
NAMES_OF_WITH = ("contact_name", "lead_name", "company_name", "customer_name")


class Feed:
    def __init__(self, records: Records, without: frozenset[str] = frozenset()) -> None:
        self._records = records
        self.without = without
        """Types that this account does not know."""

    @property
    def _known(self) -> dict[str, int]:
        records = self._records
        return types.known(kommo=records.quirks.kommo, fields=records.structure.fields, without=self.without)

    def page(self, query: Query) -> FakeAnswer:
        if refusal := self._refusal(query):
            return problem(400, refusal)
        most = 250 if self._records.quirks.kommo else 100
        if query.number("limit", 50) > most and self._records.quirks.events_over_limit == "clamp":
            query = Query(
                f"{query.path}?" + "&".join(f"{n}={t}" for n, t in query.pairs if n != "limit") + f"&limit={most}"
            )
        found = [*self._found(query)]
        shown = range(len(found)) if len(found) <= most else _page(query)
        items = [self._document(each, query) if at in shown else {} for at, each in enumerate(found)]
        return listed("events", items, query, self._records.base, most=most)

    def one(self, event_id: str, query: Query) -> FakeAnswer:
        now = self._records.clock()
        found = next((each for each in self._records.feed if each.id == event_id and each.visible_at <= now), None)
        return hal(self._document(found, query)) if found else NOTHING

    def types(self, query: Query) -> FakeAnswer:
        language = query.one("language_code") or "ru"
        items = [{"key": key, "type": number, "lang": key} for key, number in self._known.items()]
        self_link = {"self": {"href": f"{self._records.base}{query.path}?language_code={language}"}}
        return hal({"_total_items": len(items), "_links": self_link, "_embedded": {"events_types": items}})

    # ---- what is asked

    def _refusal(self, query: Query) -> str:
        """Why the request is invalid; empty if it is not."""
        asked, entities = query.many("filter[type]"), query.many("filter[entity]")
        known, kommo = self._known, self._records.quirks.kommo
        if any(each not in known for each in asked) or (len(asked) > 1 and any(map(types.is_of_field, asked))):
            return INVALID
        allowed = ENTITIES[:3] + ENTITIES[4:] if kommo else ENTITIES
        if any(each not in allowed and not each.startswith("catalog_") for each in entities):
            return INVALID
        if kommo and (len(entities) > 1 or only_until(query)):
            return INVALID
        if len(entities) == 1 and not all(of_entity(each, entities[0]) for each in asked):
            return CONFLICT
        ids = query.many("filter[entity_id]")
        if ids and (len(ids) > 10 or len(entities) != 1):
            return INVALID
        return INVALID if len(query.many("filter[created_by]")) > 10 else ""

    def _found(self, query: Query) -> Iterator[FeedEvent]:
        since, until = query.span("filter[created_at]") or (0, 1 << 40)
        asked = frozenset(query.many("filter[type]"))
        ids, users = frozenset(query.many("filter[id]")), frozenset(query.many("filter[created_by]"))
        entities = frozenset(query.many("filter[entity]"))
        entity_ids = frozenset(query.many("filter[entity_id]"))
        hidden = self._records.quirks.hidden_without_type
        for event in self._records.window(since, until):
            if asked and event.type not in asked and not self._is_field_of_all(event, asked):
                continue
            if not asked and event.type in hidden:
                continue
            filtered = filter_entity(event)
            if entities and filtered[0] not in entities:
                continue
            if entity_ids and str(filtered[1]) not in entity_ids:
                continue
            if (ids and event.id not in ids) or (users and str(event.created_by) not in users):
                continue
            if matches_values(event.after, query, "after") and matches_values(event.before, query, "before"):
                yield event

    @staticmethod
    def _is_field_of_all(event: FeedEvent, asked: frozenset[str]) -> bool:
        return "custom_field_value_changed" in asked and types.is_of_field(event.type)

    # ---- what is answered

    def _document(self, event: FeedEvent, query: Query) -> Fields:
        plural = {"lead": "leads", "contact": "contacts", "company": "companies", "customer": "customers"}
        path = f"{self._records.base}/api/v4/{plural.get(event.entity_type, event.entity_type + 's')}/{event.entity_id}"
        entity: Fields = {"id": event.entity_id, "_links": {"self": {"href": path}}}
        if f"{event.entity_type}_name" in query.many("with"):
            card = self._records.cards[plural[event.entity_type]].get(event.entity_id)
            entity["name"] = card.fields["name"] if card else ""
        document: dict[str, Json] = {
            "id": event.id,
            "type": event.type,
            "entity_id": event.entity_id,
            "entity_type": event.entity_type,
            "created_by": event.created_by,
            "created_at": event.created_at,
            "value_after": event.after,
            "value_before": event.before,
            "account_id": self._records.structure.id,
        }
        if event.client:
            document["oauth_client_uuid"] = event.client
        if event.talk_contact is not None and event.entity_type != "contact":
            document["linked_talk_contact_id"] = entity["linked_talk_contact_id"] = event.talk_contact
        document["_links"] = {"self": {"href": f"{self._records.base}/api/v4/events/{event.id}"}}
        return document | {"_embedded": {"entity": entity}}


def _page(query: Query) -> range:
    limit, page = query.number("limit", 50), max(query.number("page", 1), 1)
    return range((page - 1) * limit, page * limit)


def only_until(query: Query) -> bool:
    name = "filter[created_at]"
    return query.one(f"{name}[to]") is not None and query.one(f"{name}[from]") is None


def of_entity(event: str, entity: str) -> bool:
    """Whether a type may be asked for together with an entity: messages are the contact's."""
    if event in types.CHATS:
        return entity == "contact"
    return types.ENTITY_OF.get(event) in (None, entity)


def filter_entity(event: FeedEvent) -> tuple[str, int]:
    """What a filter by entity sees."""
    if event.talk_contact is not None:
        return "contact", event.talk_contact
    return event.entity_type, event.entity_id


def matches_values(values: list[Json], query: Query, side: str) -> bool:
    """filter[value_after][leads_statuses][0][status_id]=… and filter[value_after][responsible_user_id]=…"""
    prefix = f"filter[value_{side}]"
    if not query.names(prefix):
        return True
    statuses = f"{prefix}[leads_statuses]"
    numbers = {name[len(statuses) :].split("]")[0] for name in query.names(statuses)}
    wanted = [
        {key: text for key in ("status_id", "pipeline_id") if (text := query.one(f"{statuses}{number}][{key}]"))}
        for number in numbers
    ]
    found = [each["lead_status"] for each in values if "lead_status" in each]
    if wanted and not any(
        all(str(status["id" if key == "status_id" else key]) == text for key, text in each.items())
        for each in wanted
        for status in found
    ):
        return False
    users = query.many(f"{prefix}[responsible_user_id]")
    return not users or any(str(each.get("responsible_user", {}).get("id")) in users for each in values)
