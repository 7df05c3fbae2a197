"""A filter that matched nothing -> the names in it that neither the routes file nor the store knows."""

from collections.abc import Collection
from time import monotonic

from relay.amocrm.vocabulary import ACTIONS, ENTITIES
from relay.operations.which import left_of_look
from relay.routes.config import Config
from relay.routes.diagnostics import quoted, suggestion
from relay.store.contract import OperationsStore
from relay.store.records import Filter


async def unknown_names(
    store: OperationsStore, wanted: Filter, config: Config | None, *, begun: float | None = None
) -> list[str]:
    """Return one sentence for each name, with a suggestion; `config` is None if the routes file cannot be used.

    `begun`: when the question began, by `time.monotonic`; the looks for its names take what is left of its budget.
    """
    begun = monotonic() if begun is None else begun
    names = (
        ("target", wanted.target, Filter(target=wanted.target)),
        ("route", wanted.route, Filter(route=wanted.route)),
        ("entity", wanted.entity, Filter(entity=wanted.entity)),
        ("action", wanted.action, Filter(action=wanted.action)),
    )
    found: list[str] = []
    for kind, name, alone in names:
        known = await _known(store, kind, config) if name else ()
        if name and name not in known and await _is_nowhere(store, alone, begun):
            found.append(f"no {kind} {quoted(name)} {suggestion(name, sorted(known))}")
    return found


async def _is_nowhere(store: OperationsStore, alone: Filter, begun: float) -> bool:
    """Whether the whole store has nothing of it; if that takes long, nobody knows."""
    page = await store.find(alone, limit=1, budget=left_of_look(begun))
    return not page and page.searched_to is None


async def _known(store: OperationsStore, kind: str, config: Config | None) -> Collection[str]:
    match kind:
        case "entity":
            return ENTITIES
        case "action":
            return ACTIONS
        case "route":
            return {route.name for route in config.routes} if config else ()
        case _:
            return {*(config.targets if config else ()), *(await store.status()).targets}
