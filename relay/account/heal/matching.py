"""Events and hooks of one key -> pairs of them, as many as there can be: each is used once.

An event that stays over is one that no webhook reported. Which of several with one key it is does not matter: they
carry the same content. So only the number has to be right, and a pair may be changed by name alone.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple


class Times(NamedTuple):
    """What a hook can report: events from `since` to `until`, both included."""

    since: datetime
    until: datetime

    def contains(self, at: datetime) -> bool:
        """Whether an event of this time can be reported."""
        return self.since <= at <= self.until


def pair(
    events: Sequence[datetime], hooks: Sequence[Times], *, spent: Mapping[int, int] | None = None
) -> dict[int, int]:
    """Hooks for as many of `events` as can be, earliest first: event's position -> hook's position.

    `spent` are pairs of earlier calls: they stay, also where the hook's times were wider then. If an event is only
    covered by having one of them give its hook away for a free one, the event is named with a free one instead, whose
    times need not contain it. A hook that is spent on an event that is not among `events` must not be among `hooks`.
    """
    spent = spent or {}
    graph = _Graph(
        [
            [number for number, hook in enumerate(hooks) if hook.contains(at) or spent.get(event) == number]
            for event, at in enumerate(events)
        ]
    )
    for event, hook in spent.items():
        graph.seed(event, hook)
    in_order = sorted(range(len(events)), key=lambda number: (number not in spent, events[number], number))
    for event in in_order:
        graph.cover(event)
    return _named(graph.hook_of, spent, free=[hook for hook in range(len(hooks)) if hook not in spent.values()])


def _named(hook_of: Mapping[int, int], spent: Mapping[int, int], *, free: list[int]) -> dict[int, int]:
    """Name a hook for each event that is covered, its own if no pair of before has it."""
    named = {**spent, **{event: hook for event, hook in hook_of.items() if event not in spent and hook in free}}
    left = [hook for hook in free if hook not in named.values()]
    for event in hook_of:
        if event not in named:
            named[event] = left.pop(0)
    return named


class _Graph:
    """A bipartite graph of events and hooks, and a matching in it."""

    def __init__(self, may: Sequence[Sequence[int]]) -> None:
        self._may = may
        self._event_of: dict[int, int] = {}
        self.hook_of: dict[int, int] = {}

    def seed(self, event: int, hook: int) -> None:
        """Begin with a pair."""
        self._join(event, hook)

    def cover(self, event: int) -> None:
        """Cover an event too, by an augmenting path, if there is one; those that are covered stay so."""
        if event in self.hook_of:
            return
        came_from: dict[int, int] = {}
        queue = deque([event])
        while queue:
            current = queue.popleft()
            for hook in self._may[current]:
                if hook in came_from:
                    continue
                came_from[hook] = current
                if hook not in self._event_of:
                    self._augment(hook, came_from, event)
                    return
                queue.append(self._event_of[hook])

    def _augment(self, hook: int, came_from: Mapping[int, int], start: int) -> None:
        while True:
            event = came_from[hook]
            given_up = self.hook_of.get(event)
            self._join(event, hook)
            if event == start or given_up is None:
                return
            hook = given_up

    def _join(self, event: int, hook: int) -> None:
        self.hook_of[event] = hook
        self._event_of[hook] = event
