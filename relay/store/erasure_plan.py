"""A stored webhook, and whose data is to be erased -> what it is to be, and what else names that person. Pure."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import orjson

from relay.amocrm import events
from relay.amocrm.erased_body import erased_body
from relay.amocrm.erasure import erased, erased_cards, extent, references
from relay.amocrm.traces import Finder, Trace, traces_of, traces_of_card
from relay.model import Event, Json
from relay.model.erasure import Extent, Ref
from relay.store.erasure_records import ErasedEvent, ErasedWebhook, StoredEvent, StoredWebhook

UNREADABLE = (ValueError, TypeError, KeyError, AttributeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose data: by references, and by ids of events and of webhooks that are taken in whole.

    `source`: only webhooks of this one; empty: of every one.
    """

    refs: frozenset[Ref]
    ids: frozenset[str] = frozenset()
    source: str = ""

    def may_concern(self, webhook: StoredWebhook) -> bool:
        """Whether it is worth reading: a quick look for the ids in its bytes."""
        if self.source not in ("", webhook.source):
            return False
        if self.ids and (webhook.id in self.ids or any(each.id in self.ids for each in webhook.events)):
            return True
        found = [ref.id.encode() for ref in self.refs]
        stored = [part for each in webhook.events for part in (each.payload, each.enriched or b"")]
        return any(id_ in part for id_ in found for part in stored)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What a webhook is to be. `traces`: by what else the person may be found; `kept`: its events that lose nothing.

    `emptied`: its body could not be cut, and others lose theirs with it.
    """

    erased: ErasedWebhook
    types: Counter[str]
    traces: frozenset[Trace] = frozenset()
    kept: int = 0
    emptied: bool = False


@dataclass(frozen=True, slots=True)
class _Cut:
    """How much of a stored event goes, and what is left."""

    how: Extent
    type: str = ""
    event: ErasedEvent | None = None
    traces: frozenset[Trace] = field(default_factory=frozenset)


def plan(webhook: StoredWebhook, scope: Scope) -> Planned | None:
    """Return what the webhook is to be; None if nothing in it is of the person, or nothing is left of that."""
    if not scope.may_concern(webhook):
        return None
    cuts = [_cut(webhook, each, scope) for each in webhook.events]
    changed = tuple(cut.event for cut in cuts if cut.event is not None)
    whole_webhook = webhook.id in scope.ids and bool(webhook.body)
    if not changed and not whole_webhook:
        return None
    of_events = [cut.how for cut, each in zip(cuts, webhook.events, strict=True) if not each.raw]
    body = erased_body(webhook.body, webhook.content_type, of_events, scope.refs) if of_events else b""
    gone = all(how is Extent.WHOLE for how in of_events)
    return Planned(
        erased=ErasedWebhook(
            seq=webhook.seq,
            body=body,
            query="" if gone else webhook.query,
            unparsed=None if gone else webhook.unparsed,
            events=changed,
        ),
        types=Counter(cut.type for cut in cuts if cut.event is not None),
        traces=frozenset(trace for cut in cuts for trace in cut.traces),
        kept=sum(how is Extent.NONE for how in of_events),
        emptied=not body and not gone and bool(webhook.body),
    )


def kinds_in(webhook: StoredWebhook, scope: Scope, finder: Finder) -> Mapping[tuple[str, str, str], frozenset[str]]:
    """Return by what its other events name the person, by entity, entity id and type; unparsed by the webhook's id."""
    found: dict[tuple[str, str, str], frozenset[str]] = {}
    if scope.source not in ("", webhook.source) or webhook.id in scope.ids:
        return found
    if webhook.unparsed is not None and (kinds := finder.kinds(_text(webhook.body))):
        found["", webhook.id, "unparsed"] = kinds
    for each in webhook.events:
        if each.raw or each.erased or each.id in scope.ids:
            continue
        if kinds := finder.kinds(_text(each.payload) + _text(each.enriched or b"")):
            event = _read(each)
            if event is None:
                found["", each.id, "unreadable"] = kinds
            elif extent(event, scope.refs) is not Extent.WHOLE:
                found[event.entity, event.entity_id, event.type] = kinds
    return found


def _cut(webhook: StoredWebhook, stored: StoredEvent, scope: Scope) -> _Cut:
    if stored.erased:
        return _Cut(Extent.WHOLE)
    named = webhook.id in scope.ids or stored.id in scope.ids
    if stored.raw:
        return _cut_raw(stored) if named else _Cut(Extent.NONE)
    event = _read(stored)
    if event is None:
        return _cut_unreadable(stored) if named else _Cut(Extent.NONE)
    how = Extent.WHOLE if named else extent(event, scope.refs)
    before = _enriched(stored)
    after = None if how is Extent.WHOLE or before is None else erased_cards(before, scope.refs)
    if how is Extent.NONE and after == before:
        return _Cut(how)
    made = ErasedEvent(
        seq=stored.seq,
        id=stored.id,
        how=Extent.PART if how is Extent.NONE else how,
        payload=stored.payload if how is Extent.NONE else events.dump(erased(event, scope.refs, how)),
        enriched=after,
    )
    traces = traces_of(event, scope.refs) | _traces_in_parts(event.data, scope) | _traces_in_parts(before or {}, scope)
    return _Cut(how, event.type, made, traces)


def _cut_raw(stored: StoredEvent) -> _Cut:
    made = ErasedEvent(seq=stored.seq, id=stored.id, how=Extent.WHOLE, payload=b"")
    return _Cut(Extent.WHOLE, "unparsed", made)


def _cut_unreadable(stored: StoredEvent) -> _Cut:
    made = ErasedEvent(seq=stored.seq, id=stored.id, how=Extent.WHOLE, payload=b"{}")
    return _Cut(Extent.WHOLE, "unreadable", made)


def _traces_in_parts(data: Mapping[str, Json], scope: Scope) -> frozenset[Trace]:
    """Of cards of the person within an event of somebody else, and beside it."""
    found: set[Trace] = set()
    for path in references(data, scope.refs):
        node: Json = data
        for part in path:
            node = node[int(part)] if isinstance(node, list) else node[part]
        if path and isinstance(node, Mapping):
            found |= traces_of_card(node)
    return frozenset(found)


def _read(stored: StoredEvent) -> Event | None:
    try:
        return events.load(stored.payload)
    except UNREADABLE:
        return None


def _enriched(stored: StoredEvent) -> dict[str, Json] | None:
    try:
        value = orjson.loads(stored.enriched) if stored.enriched else None
    except ValueError:
        return {}
    return value if isinstance(value, dict) else None


def _text(stored: bytes) -> str:
    return stored.decode(errors="replace")


def refs_of(references_: Collection[str]) -> tuple[frozenset[Ref], frozenset[str]]:
    """`contacts/888` is a reference, anything else the id of an event or a webhook."""
    refs = {Ref(*each.split("/", 1)) for each in references_ if "/" in each}
    return frozenset(refs), frozenset(each for each in references_ if "/" not in each)
