"""A catalog as it was, and as it is -> one that knows former names and what is gone. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from relay.model.names import Catalog, Named, Pipeline, normal

T = TypeVar("T", bound=Named)

MOST_FORMER = 20
"""Former names that are remembered of one thing."""


def remembering(old: Catalog | None, new: Catalog) -> Catalog:
    """`new`, with the former names of what `old` knew, and what is gone since; `old` of another host is forgotten."""
    if old is None or old.host != new.host:
        return new
    stages = {pipeline.id: pipeline.stages for pipeline in old.pipelines}

    def with_stages(pipeline: Pipeline) -> Pipeline:
        return replace(pipeline, stages=_remembering(stages.get(pipeline.id, ()), pipeline.stages))

    return replace(
        new,
        pipelines=_remembering(old.pipelines, [with_stages(each) for each in new.pipelines]),
        users=_remembering(old.users, new.users),
        custom_fields=_remembering(old.custom_fields, new.custom_fields),
    )


def same_names(one: Catalog | None, other: Catalog) -> bool:
    """True if at most their times differ."""
    return one is not None and replace(one, as_of=other.as_of) == other


def _remembering(old: Sequence[T], new: Sequence[T]) -> tuple[T, ...]:
    before: Mapping[int, T] = {each.id: each for each in old}
    now = {each.id for each in new}
    gone = [replace(each, gone=True) for each in old if each.id not in now]
    return (*(_with_former(before.get(each.id), each) for each in new), *gone)


def _with_former(old: T | None, new: T) -> T:
    if old is None:
        return new
    renamed = [old.name] if normal(old.name) != normal(new.name) else []
    former = [each for each in dict.fromkeys([*renamed, *old.former, *new.former]) if each != new.name]
    return replace(new, former=tuple(former[:MOST_FORMER]))
