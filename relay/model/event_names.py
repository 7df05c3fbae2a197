"""An event's JSON -> the names of what its ids stand for. Pure."""

from collections.abc import Mapping

from relay.model.names import IN_EVERY_PIPELINE, Catalog
from relay.model.values import Json

_USERS = {
    "responsible": ("responsible_user_id",),
    "old_responsible": ("old_responsible_user_id",),
    "created_by": ("created_by", "created_user_id"),
    "modified_by": ("updated_by", "modified_by", "modified_user_id"),
}
EVENT_NAMES = ("pipeline", "old_pipeline", "status", "old_status", *_USERS)
"""The names that an event may have."""


class EventNames:
    """Names by the source of an event. Equal if they give the same names, so that a reload finds a target unchanged."""

    def __init__(self, catalogs: Mapping[str, Catalog]) -> None:
        """`catalogs` by source; several sources may share one."""
        prepared = {id(catalog): _OfAccount(catalog) for catalog in catalogs.values()}
        self._of_source = {source: prepared[id(catalog)] for source, catalog in catalogs.items()}

    def of(self, event: Mapping[str, Json]) -> dict[str, str]:
        """`{"pipeline": "Продажи", "status": "Оффер", "responsible": "Ольга"}`: those that are known, maybe none."""
        account, data = self._of_source.get(event.get("source", "")), event.get("data")
        return account.names(data) if account and isinstance(data, Mapping) else {}

    def __bool__(self) -> bool:
        """False if no source has an account whose names are known."""
        return bool(self._of_source)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EventNames) and self._of_source == other._of_source

    def __hash__(self) -> int:
        return hash(frozenset(self._of_source))


def as_line(names: Mapping[str, str]) -> str:
    """`status Продажи/Оффер, responsible Ольга`, for people; empty if there are no `names`."""
    found = dict(names)
    for old in ("", "old_"):
        if f"{old}status" in found and f"{old}pipeline" in found:
            found[f"{old}status"] = f"{found.pop(f'{old}pipeline')}/{found[f'{old}status']}"
    return ", ".join(f"{name.replace('_', ' ')} {text}" for name, text in found.items())


class _OfAccount:
    """The names of one account by id."""

    def __init__(self, catalog: Catalog) -> None:
        self._pipelines = {each.id: each.name for each in catalog.pipelines}
        self._stages = {(each.id, stage.id): stage.name for each in catalog.pipelines for stage in each.stages}
        self._pipeline_of = {id_: pipeline for pipeline, id_ in self._stages if id_ not in IN_EVERY_PIPELINE}
        self._users = {each.id: each.name for each in catalog.users}

    def names(self, data: Mapping[str, Json]) -> dict[str, str]:
        """The names of an event's data, without those that are unknown."""
        found: dict[str, str | None] = {}
        for old in ("", "old_"):
            status = _id(data.get(f"{old}status_id"))
            pipeline = _id(data.get(f"{old}pipeline_id")) or self._pipeline_of.get(status)
            found[f"{old}pipeline"] = self._pipelines.get(pipeline or 0)
            found[f"{old}status"] = self._stages.get((pipeline or 0, status))
        for name, keys in _USERS.items():
            ids = (_id(data.get(key)) for key in keys)
            found[name] = next((self._users[id_] for id_ in ids if id_ in self._users), None)
        return {name: text for name, text in found.items() if text is not None}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _OfAccount) and self._known() == other._known()

    def __hash__(self) -> int:
        return hash(frozenset(self._stages))

    def _known(self) -> tuple[object, ...]:
        return self._pipelines, self._stages, self._users


def _id(value: Json) -> int:
    return value if type(value) is int else 0
