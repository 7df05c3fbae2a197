"""Config -> warnings about fields in matches that no event has."""

from collections.abc import Iterator

from relay.amocrm.vocabulary import FIELDS, OF_FEW
from relay.routes.config import Config
from relay.routes.diagnostics import Finding, nearest, quoted
from relay.routes.fields import EVENT_FIELDS, NAMED_FIELDS, data_path, is_custom
from relay.routes.stray_characters import confusable

NEARLY = 0.75
"""difflib's ratio: `status` is that near to `status_id`, `pipelin` to `pipeline_id`."""

_MEANT = {
    "company": "entity: companies",
    "contact": "entity: contacts",
    "email": "custom_fields.EMAIL",
    "event": "type, as in {type: leads.status}",
    "event_type": "type, as in {type: leads.status}",
    "lead": "entity: leads",
    "phone": "custom_fields.PHONE",
    "pipeline": "pipeline_id",
    "query": "query.NAME",
    "responsible": "responsible_user_id",
    "stage": "status_id",
    "subdomain": "account.subdomain",
    "webhook": "source",
}
"""Names that people try, and what to write instead."""

_ACCOUNT = ("id", "subdomain", "_links")
_TAG = ("name", "id")
_HEAL = ("event_id", "exactness", "found_at", "reason")
_INSIDE_CUSTOM = frozenset({"value", "values", "enum", "enums", "enum_id", "enum_code", "subtype"})
_TOP = frozenset({"timestamp"})
_INCOMING = frozenset({"companies", "contacts", "customers", "leads"})
"""Keys in the `data` of an incoming lead's data."""
_OF_THE_EVENT = EVENT_FIELDS | NAMED_FIELDS.keys() | {"account"}


def unknown_fields(config: Config) -> Iterator[Finding]:
    """Fields that amoCRM is not known to send; it may send others."""
    for position, route in enumerate(config.routes):
        entities = route.match["entity"].any_of if "entity" in route.match else None
        for field in route.match:
            if message := unknown_field(field, entities or frozenset()):
                yield ("routes", position, "match", field), message


def outdated_names(config: Config) -> Iterator[Finding]:
    """Names that amoCRM has changed, or has no more."""
    yield from config.remarks


def unknown_field(field: str, entities: frozenset[str]) -> str | None:
    """The warning about a field that amoCRM is not known to send for any of these entities; None if it is."""
    if is_custom(field):
        return _inside_custom(field)
    first, _, rest = field.partition(".")
    if field in _OF_THE_EVENT or (first == "query" and rest):
        return None
    if first == "heal" and rest:
        return None if rest in _HEAL else _no_field(field, [f"heal.{name}" for name in _HEAL])
    if first == "account" and rest:
        return (
            None if rest.partition(".")[0] in _ACCOUNT else _no_field(field, [f"account.{name}" for name in _ACCOUNT])
        )
    if field in _TOP:
        return f"never matches: routes do not look at the {field} of an event"
    name, _, inside = data_path(field).partition(".")
    if name == "tags" and inside and inside not in _TAG:
        return _no_field(field, [f"tags.{key}" for key in _TAG])
    if name in FIELDS or name.startswith("_") or not entities.isdisjoint(OF_FEW.get(name, ())):
        return None
    return None if first == "data" and name in _INCOMING else _no_field(name, sorted(FIELDS))


def _no_field(name: str, known: list[str]) -> str:
    said = f"amoCRM is not known to send the field {quoted(name)}"
    if meant := _MEANT.get(name):
        return f"{said} (did you mean {meant}?)"
    near = nearest(name, known, cutoff=NEARLY)
    return f"{said}{f' (did you mean {quoted(near)}?)' if near else ''}{confusable(name, near)}"


def _inside_custom(field: str) -> str | None:
    whole, _, last = field.rpartition(".")
    if last in _INSIDE_CUSTOM and is_custom(whole) and "." not in data_path(whole).partition(".")[2]:
        name = whole.rpartition(".")[2]
        if name not in _INSIDE_CUSTOM:
            return f"never matches: write {whole}, which compares the field's values and the ids of their enums"
    return None
