"""Records -> what the account has of their entities now, in as few requests as it can be trusted with.

amoCRM ignores filters of leads, contacts, companies and customers without a word where they were not switched on: the
answer must hold nothing that was not asked for.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from relay.account.heal import incoming
from relay.account.heal.keys import LEFT
from relay.account.heal.reader import Get
from relay.errors import RequestRefused
from relay.model import Json
from relay.model.heal import HealRecord

BATCH = 50
NOT_FOUND = 404

_FILTERED = frozenset({"tasks"})  # always; notes too

Place = tuple[str, str]
"""A list of the API, `/api/v4/leads`, and an id in it."""


def place(record: HealRecord) -> Place:
    """Where the account has a record's entity; of a note the note itself, of an incoming lead what became of it."""
    entity, _, action = record.action.partition(".")
    if record.action == LEFT:
        return incoming.PATH, record.entity_id
    if action == "note":
        return f"/api/v4/{entity}/notes", record.key.partition(":")[2]
    return f"/api/v4/{'tasks' if entity == 'task' else 'talks' if entity == 'talk' else entity}", record.entity_id


async def fetch(get: Get, places: Iterable[Place], *, filters: bool) -> Mapping[Place, Mapping[str, Json]]:
    """What is at these places; those that are gone are left out. Raises an AccountError."""
    by_path: defaultdict[str, list[str]] = defaultdict(list)
    for path, id_ in dict.fromkeys(places):
        by_path[path].append(id_)
    found: dict[Place, Mapping[str, Json]] = {}
    for path, ids in by_path.items():
        kind = path.rpartition("/")[2]
        listed = (filters and kind not in ("talks", "unsorted")) or kind in _FILTERED or kind == "notes"
        for part in [ids[n : n + BATCH] for n in range(0, len(ids), BATCH)]:
            items = await _listed(get, path, part) if listed and len(part) > 1 else None
            if items is None:
                items = {id_: item for id_ in part if (item := await _one(get, path, id_)) is not None}
            found |= {(path, id_): item for id_, item in items.items()}
    return found


async def _listed(get: Get, path: str, ids: list[str]) -> dict[str, Mapping[str, Json]] | None:
    """The items with these ids; None if the filter was ignored."""
    answer = await get(path, {"filter[id][]": ids, "limit": 250})
    items: Json = next(iter((answer or {}).get("_embedded", {}).values()), [])
    found = {str(item["id"]): item for item in items if isinstance(item, Mapping) and "id" in item}
    return found if found.keys() <= {*ids} else None


async def _one(get: Get, path: str, id_: str) -> Mapping[str, Json] | None:
    if path == incoming.PATH:
        return await incoming.outcome(get, id_)
    # a note's path needs no id of its entity: the list takes its own
    if path.endswith("/notes"):
        return (await _listed(get, path, [id_]) or {}).get(id_)
    try:
        found = await get(f"{path}/{id_}", {})
    except RequestRefused as error:
        if error.status != NOT_FOUND:
            raise
        return None
    return None if found is None or found.get("is_deleted") else found
