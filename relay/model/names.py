"""Names of an account's pipelines, stages, users and custom fields -> the ids that its events carry. Pure.

A name that was changed in amoCRM stays known as a former one, and what was removed there as gone: what a routes file
names is found for as long as the catalog remembers it. Of several things with one name the present name wins over a
former one, and what is in use over what is archived or gone; two of the same rank are ambiguous.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import TypeAlias

from relay.model.values import Json

_CLOSED = {"won": "142", "lost": "143"}
IN_EVERY_PIPELINE = frozenset(int(id_) for id_ in _CLOSED.values())
"""Ids of stages that every pipeline has (amoCRM, API v4, "Pipelines and statuses")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A thing with a name; `gone`: amoCRM does not list it any more."""

    id: int
    name: str
    former: tuple[str, ...] = ()
    gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage(Named):
    """A stage of a pipeline. The ids 142 and 143 are in each; all others are in one alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline(Named):
    """A pipeline with its stages, in amoCRM's order."""

    stages: tuple[Stage, ...] = ()
    archived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Named):
    """A user; names of users need not be unique, their addresses are."""

    email: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomField(Named):
    """A custom field of one kind of entity; its id is unique in the account."""

    entity: str
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """What amoCRM called things on `host` at an instant."""

    host: str
    as_of: datetime
    pipelines: tuple[Pipeline, ...] = ()
    users: tuple[User, ...] = ()
    custom_fields: tuple[CustomField, ...] = ()


# ---- a name -> what events carry


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """`texts`: what the field of an event must be. `remark`: why the name should be changed, if it should."""

    texts: frozenset[str]
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Nothing has the name; `known` are those that there are, `former` those that there were, with today's."""

    known: tuple[str, ...]
    former: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ambiguous:
    """Several things have the name; `candidates` say which, with their ids."""

    candidates: tuple[str, ...]


Answer: TypeAlias = Resolved | Unknown | Ambiguous


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A thing under one of its names; the lowest `rank` wins. `now`: its full name today."""

    called: str
    rank: int
    text: str
    now: str
    id: int


def find_stage(catalog: Catalog, name: str) -> Answer:
    """`Продажи/Оффер`, or `Оффер` if one pipeline alone has it; `won` and `lost` of any pipeline.

    The texts are those of `stage_texts`.
    """
    if name in _CLOSED:
        return Resolved(texts=frozenset({_CLOSED[name]}))
    candidates = [each for pipeline in catalog.pipelines for each in _stages(pipeline)]
    live = [each for each in catalog.pipelines if not _rank(each)]
    known = (f"{each.name}/{stage.name}" for each in live for stage in each.stages if not stage.gone)
    return _answer(name, candidates, known=known)


def find_pipeline(catalog: Catalog, name: str) -> Answer:
    """A pipeline -> its id."""
    candidates = [
        _Candidate(called=called, rank=max(rank, _rank(each)), text=str(each.id), now=each.name, id=each.id)
        for each in catalog.pipelines
        for called, rank in _names(each)
    ]
    return _answer(name, candidates, known=(each.name for each in catalog.pipelines if not _rank(each)))


def find_user(catalog: Catalog, name: str) -> Answer:
    """A user, by name or address -> the id."""
    candidates = [
        _Candidate(called=called, rank=rank, text=str(each.id), now=each.email or each.name, id=each.id)
        for each in catalog.users
        for called, rank in [*_names(each), *([(each.email, _rank(each))] if each.email else [])]
    ]
    return _answer(name, candidates, known=(each.name for each in catalog.users if not each.gone))


def find_custom_field(catalog: Catalog, name: str) -> Answer:
    """A custom field by id, code or name -> the ids of those called so, at most one for each kind of entity."""
    candidates = {
        entity: [
            _Candidate(called=called, rank=rank, text=str(each.id), now=each.name, id=each.id)
            for each in catalog.custom_fields
            if each.entity == entity
            for called, rank in _names_of_field(each)
        ]
        for entity in dict.fromkeys(each.entity for each in catalog.custom_fields)
    }
    known = [called for each in catalog.custom_fields if not each.gone for called in (each.code, each.name) if called]
    answers = [_answer(name, every, known=known) for every in candidates.values()]
    found = [each for each in answers if isinstance(each, Resolved)]
    if ambiguous := [each for each in answers if isinstance(each, Ambiguous)]:
        return ambiguous[0]
    if not found:
        former = (pair for each in answers if isinstance(each, Unknown) for pair in each.former)
        return Unknown(known=tuple(dict.fromkeys(known)), former=tuple(former))
    remark = next((each.remark for each in found if each.remark), "") if all(each.remark for each in found) else ""
    return Resolved(texts=frozenset().union(*(each.texts for each in found)), remark=remark)


def stage_texts(pipeline_id: Json, status_id: Json) -> tuple[str, ...]:
    """A stage as conditions compare it: `16203337`, and `752662/142`, as 142 and 143 are in every pipeline."""
    if status_id is None:
        return ()
    return (f"{status_id}",) if pipeline_id is None else (f"{status_id}", f"{pipeline_id}/{status_id}")


def _stages(pipeline: Pipeline) -> Iterable[_Candidate]:
    for stage in pipeline.stages:
        text = f"{pipeline.id}/{stage.id}" if stage.id in IN_EVERY_PIPELINE else str(stage.id)
        least, now = max(_rank(pipeline), _rank(stage)), f"{pipeline.name}/{stage.name}"
        for (of_pipeline, former), (of_stage, renamed) in product(_names(pipeline), _names(stage)):
            rank = max(least, former, renamed)
            for called in (f"{of_pipeline}/{of_stage}", of_stage):
                yield _Candidate(called=called, rank=rank, text=text, now=now, id=stage.id)


def _rank(thing: Named) -> int:
    """0 in use, 1 archived, 3 gone; a former name has 2."""
    return 3 if thing.gone else int(isinstance(thing, Pipeline) and thing.archived)


def _names(thing: Named) -> list[tuple[str, int]]:
    return [(thing.name, _rank(thing)), *((each, max(2, _rank(thing))) for each in thing.former)]


def _names_of_field(field: CustomField) -> list[tuple[str, int]]:
    own = [(each, _rank(field)) for each in (str(field.id), field.code) if each]
    return [*own, *_names(field)]


def _answer(name: str, candidates: Sequence[_Candidate], *, known: Iterable[str]) -> Answer:
    wanted = normal(name)
    called = [each for each in candidates if normal(each.called) == wanted]
    if not called:
        former = {each.called: each.now for each in candidates if each.rank == 2}
        return Unknown(known=tuple(dict.fromkeys(known)), former=tuple(former.items()))
    best = min(each.rank for each in called)
    chosen = [each for each in called if each.rank == best]
    if len({each.id for each in chosen}) > 1:
        return Ambiguous(candidates=tuple(dict.fromkeys(f"{each.now} ({each.id})" for each in chosen)))
    return Resolved(texts=frozenset(each.text for each in chosen), remark=_remark(chosen, called))


def _remark(chosen: Sequence[_Candidate], called: Sequence[_Candidate]) -> str:
    """Why a name should be changed in the file: it means something else soon, or nothing."""
    first = chosen[0]
    if first.rank == 3:
        return "amoCRM does not have it any more: nothing can match"
    if first.rank == 2:
        return f"was renamed in amoCRM: write {first.now}"
    others = {each.now: each.id for each in called if each.rank == 2 and each.id != first.id}
    return "".join(f"{now} ({id_}) was called so before" for now, id_ in sorted(others.items())[:1])


def normal(name: str) -> str:
    """A name as it is compared: composed, without blanks around it and with one between its words."""
    return " ".join(unicodedata.normalize("NFC", name).split())
