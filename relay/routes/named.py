"""Conditions by name and the catalogs of accounts -> the same conditions by id, or why there are none.

Events carry ids, so that a name is looked up when the file is loaded. A condition on a custom field is by name without
an account, too: its webhooks have id, code and name. With one it is by id, so that a rename does not end it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from typing import TypeAlias

from relay.model import Json, Source
from relay.model.names import (
    IN_EVERY_PIPELINE,
    Ambiguous,
    Answer,
    Catalog,
    Resolved,
    Unknown,
    find_custom_field,
    find_pipeline,
    find_stage,
    find_user,
)
from relay.rfc3339 import rfc3339
from relay.routes.conditions import Condition
from relay.routes.diagnostics import MAX_COMPARED_NAMES, Finding, Where, listed, quoted
from relay.routes.fields import CUSTOM, NAMED_FIELDS, as_text, data_path, is_custom
from relay.routes.match import Route
from relay.routes.reader import Reader

_Look: TypeAlias = Callable[[Catalog, str], Answer]

_LOOKS: Mapping[str, tuple[str, _Look]] = {
    "stage": ("stage", find_stage),
    "old_stage": ("stage", find_stage),
    "pipeline": ("pipeline", find_pipeline),
    "responsible": ("user", find_user),
}
_TWO_IDS = re.compile(r"\d+/\d+", re.ASCII)
_IN_EVERY = frozenset(map(str, IN_EVERY_PIPELINE))
_OF_ALL_CUSTOM_FIELDS = frozenset({"id", "name", "code", "values"})


def resolve_names(
    reader: Reader,
    routes: Sequence[Route],
    sources: Mapping[str, Source],
    catalogs: Mapping[str, Catalog],
    *,
    stop_routes: bool,
) -> tuple[tuple[Route, ...], tuple[Finding, ...]]:
    """The routes with their names resolved, and where a name is outdated.

    A name that is unknown or ambiguous is a problem or, with `stop_routes`, stops its route.
    """
    remarks: list[Finding] = []
    done = []
    for position, route in enumerate(routes):
        resolution = _Resolution(reader, ("routes", position, "match"), route, remarks)
        done.append(resolution.route(sources, catalogs, stop_routes=stop_routes))
    return tuple(done), tuple(remarks)


def check_triggers(
    reader: Reader, sources: Mapping[str, Source], catalogs: Mapping[str, Catalog], *, stop_routes: bool
) -> tuple[Finding, ...]:
    """Look up the stages that `heal.dp` names; one that is unknown or ambiguous is a problem.

    With `stop_routes` it is only remarked on: what such a trigger lost is not healed, and all else goes on. So are
    stages of an account whose names were not fetched yet: healing waits for them.
    """
    remarks: list[Finding] = []
    wrong: list[Finding] = []
    for name, source in sources.items():
        for position, trigger in enumerate(source.heal.dp):
            where: Where = ("sources", name, "heal", "dp", position, "stage")
            if not trigger.stage or _TWO_IDS.fullmatch(trigger.stage) or source.account is None:
                continue
            shown = quoted(reader.document.shown(where))
            if (catalog := catalogs.get(source.account)) is None:
                remarks.append((where, f"{shown}: {_no_names(source.account)}"))
            elif said := _trigger_stage(trigger.stage, shown, catalog):
                wrong.append((where, said))
    if stop_routes:
        return (*remarks, *wrong)
    for where, message in wrong:
        reader.wrong(where, message)
    return tuple(remarks)


def _trigger_stage(name: str, shown: str, catalog: Catalog) -> str:
    """What is wrong with a trigger's stage; empty if nothing is."""
    if name.isdecimal():
        within = [f"{each.id}/{name}" for each in catalog.pipelines for stage in each.stages if str(stage.id) == name]
        if len(within) == 1:
            return ""
        return _ambiguous("stage", shown, within, "PIPELINE/STATUS") if within else f"amoCRM has no stage {shown}"
    match find_stage(catalog, name):
        case Unknown() as unknown:
            return f"amoCRM has no stage {shown} {_meant(name, unknown)}{_age(catalog)}"
        case Ambiguous(candidates=candidates):
            return _ambiguous("stage", shown, candidates, "PIPELINE/STATUS")
        case Resolved(texts=texts) if texts <= _IN_EVERY and len(catalog.pipelines) > 1:
            return f"{shown} is a stage of every pipeline: write Pipeline/Stage, or PIPELINE/STATUS, by id"
    return ""


class _Resolution:
    """The names in one route."""

    def __init__(self, reader: Reader, where: Where, route: Route, remarks: list[Finding]) -> None:
        self._reader = reader
        self._where = where
        self._route = route
        self._remarks = remarks
        self._unknown: list[Finding] = []

    def route(self, sources: Mapping[str, Source], catalogs: Mapping[str, Catalog], *, stop_routes: bool) -> Route:
        names = [key for key in self._route.match if key in NAMED_FIELDS or _names_custom_field(key)]
        if not names:
            return self._route
        accounts = _accounts(self._route, sources)
        named = [key for key in names if key in NAMED_FIELDS]
        if len(accounts) != 1:
            for key in named:
                self._reader.wrong((*self._where, key), _one_account(key, accounts))
            return self._route
        account = accounts[0]
        if account not in catalogs:
            for key in named:
                self._unknown.append(((*self._where, key), _no_names(account)))
            return self._finished(dict(self._route.match), stop_routes=stop_routes)
        return self._finished(self._resolved(catalogs[account]), stop_routes=stop_routes)

    def _finished(self, resolved: dict[str, Condition], *, stop_routes: bool) -> Route:
        if not self._unknown:
            return replace(self._route, resolved=resolved)
        if not stop_routes:
            for where, message in self._unknown:
                self._reader.wrong(where, message)
            return self._route
        unknown = {where[len(self._where)] for where, _ in self._unknown}
        known = {key: each for key, each in self._route.match.items() if key not in unknown}
        # an event without the field cannot have the name
        required = {str(key): Condition(exists=True) for key in unknown if self._route.match[str(key)].any_of}
        return replace(self._route, resolved=known | required, stopped=self._unknown[0][1])

    def _resolved(self, catalog: Catalog) -> dict[str, Condition]:
        resolved: dict[str, Condition] = {}
        for key, condition in self._route.match.items():
            here = (*self._where, key)
            if key in NAMED_FIELDS:
                resolved[key] = self._named(here, key, condition, catalog)
            elif _names_custom_field(key):
                field = self._custom_field(here, key, catalog)
                if field in resolved:
                    self._reader.wrong(here, "the same custom field as another key")
                resolved[field] = condition
            else:
                resolved[key] = condition
        return resolved

    # ---- stage, old_stage, pipeline, responsible

    def _named(self, where: Where, key: str, condition: Condition, catalog: Catalog) -> Condition:
        value: Json = self._reader.document.at(where)
        if isinstance(value, Mapping):
            for operator in sorted(value.keys() - {"not", "exists"}):
                said = "a name is compared as a whole: of the operators it takes not and exists"
                self._reader.wrong((*where, operator), said)
            none_of = self._texts((*where, "not"), key, catalog) if "not" in value else frozenset()
            return replace(condition, none_of=none_of)
        return replace(condition, any_of=self._texts(where, key, catalog))

    def _texts(self, where: Where, key: str, catalog: Catalog) -> frozenset[str]:
        value: Json = self._reader.document.at(where)
        places = [(*where, position) for position in range(len(value))] if isinstance(value, list) else [where]
        look = partial(self._look, key=key, catalog=catalog)
        return frozenset().union(*map(look, places))

    def _look(self, where: Where, *, key: str, catalog: Catalog) -> frozenset[str]:
        kind, find = _LOOKS[key]
        name = as_text(self._reader.document.at(where))
        shown = quoted(self._reader.document.shown(where))  # never what a `${…}` stands for
        match find(catalog, name):
            case Resolved(texts=texts, remark=remark):
                if remark:
                    self._remarks.append((where, f"the {kind} {shown} {remark}"))
                return texts
            case Unknown() if name.isdecimal():
                said = f"is a name, never a number: write {NAMED_FIELDS[key]} for an id"
                self._reader.wrong(where, said)
            case Unknown() as unknown:
                said = f"amoCRM has no {kind} {shown} {_meant(name, unknown)}{_age(catalog)}"
                self._unknown.append((where, said))
            case Ambiguous(candidates=candidates):
                self._unknown.append((where, _ambiguous(kind, shown, candidates, NAMED_FIELDS[key])))
        return frozenset()

    # ---- custom fields

    def _custom_field(self, where: Where, key: str, catalog: Catalog) -> str:
        """`custom_fields.PHONE` -> `custom_fields.701,702`."""
        name = data_path(key).partition(".")[2]
        match find_custom_field(catalog, name):
            case Resolved(texts=ids, remark=remark):
                if remark:
                    self._remarks.append((where, f"the custom field {quoted(name)} {remark}"))
                return f"{CUSTOM}.{','.join(sorted(ids, key=int))}"
            case Unknown() as unknown:
                said = f"amoCRM has no custom field {quoted(name)} {_meant(name, unknown)}{_age(catalog)}"
                self._unknown.append((where, said))
            case Ambiguous(candidates=candidates):
                said = _ambiguous("custom field", quoted(name), candidates, f"{CUSTOM}.ID")
                self._unknown.append((where, said))
        return key


def _names_custom_field(key: str) -> bool:
    """True for `custom_fields.PHONE`, not for a path through all custom fields: `custom_fields.values.value`."""
    return is_custom(key) and data_path(key).split(".")[1] not in _OF_ALL_CUSTOM_FIELDS


def _accounts(route: Route, sources: Mapping[str, Source]) -> list[str]:
    """The accounts whose events the route may take."""
    condition = route.match.get("source")
    taken = [each for name, each in sources.items() if condition is None or condition.holds((name,))]
    return list(dict.fromkeys(each.account for each in taken if each.account))


def _one_account(key: str, accounts: Sequence[str]) -> str:
    by_id = f"write {NAMED_FIELDS[key]}, by id"
    if not accounts:
        return f"a name is looked up in amoCRM: give the source an account, or {by_id}"
    return f"of which account, {listed(accounts)}: write source, too, so that it is one, or {by_id}"


def _no_names(account: str) -> str:
    return f"no names of the account {quoted(account)} are known here: get them with relay names, or write names at it"


def _age(catalog: Catalog) -> str:
    return f", as of {rfc3339(catalog.as_of)}: relay names looks again"


def _meant(name: str, unknown: Unknown) -> str:
    """As `suggestion`, for names in any script: that one takes letters of another script for a slip."""
    former = dict(unknown.former[:MAX_COMPARED_NAMES])
    near = get_close_matches(name, [*unknown.known[:MAX_COMPARED_NAMES], *former], n=1)
    if not near:
        return f"(known: {listed(unknown.known)})"
    once = f", once {quoted(near[0])}" if near[0] not in unknown.known else ""
    return f"(did you mean {quoted(former[near[0]] if once else near[0])}{once}?)"


def _ambiguous(kind: str, shown: str, candidates: Sequence[str], by_id: str) -> str:
    return f"{shown} is more than one {kind}: {listed(candidates)}: write the one that is meant, or {by_id}"
