"""An event, as targets receive it -> the objects it is about: its own, and the lead of a task or a message."""

from collections.abc import Mapping
from typing import Any

from relay.amocrm.vocabulary import ENTITIES

_LEAD = frozenset({"2", "lead", "leads"})
"""How amoCRM calls a lead in `element_type` and `entity_type`."""
_OWNERS = (("element_type", "element_id"), ("entity_type", "entity_id"))


def objects_of(event: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Entity and id of each; masked ids are none."""
    data = event.get("data")
    if not isinstance(data, Mapping):
        return []
    own = (str(event.get("entity", "")), str(data.get("id", "")))
    leads = [("leads", str(data.get(id_, ""))) for kind, id_ in _OWNERS if str(data.get(kind)) in _LEAD]
    found = [(entity, id_) for entity, id_ in (own, *leads) if entity in ENTITIES and id_.isascii() and id_.isdigit()]
    return [*dict.fromkeys(found)]
