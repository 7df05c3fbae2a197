"""Names in a filter that matched nothing: looked for within the budget of the question that named them."""

from datetime import timedelta
from time import monotonic
from typing import Any

from relay.operations.desk import Desk
from relay.operations.unknown_names import unknown_names
from relay.operations.which import LOOK
from relay.store.records import Filter

TYPOS = Filter(target="nobody", route="nothing")


class Watched:
    """A store, and the budgets of the looks in it."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.budgets: list[timedelta] = []

    async def find(self, *arguments: Any, budget: timedelta, **more: Any) -> Any:
        self.budgets.append(budget)
        return await self._store.find(*arguments, budget=budget, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


async def test_the_names_of_one_question_share_its_budget(desk: Desk) -> None:
    store = Watched(desk.store)
    said = await unknown_names(store, TYPOS, None, begun=monotonic() - LOOK.total_seconds() / 2)
    assert [each.split()[:3] for each in said] == [["no", "target", "'nobody'"], ["no", "route", "'nothing'"]]
    assert len(store.budgets) == 2
    assert all(each < LOOK / 2 for each in store.budgets)


async def test_a_question_that_took_all_of_it_leaves_none(desk: Desk) -> None:
    store = Watched(desk.store)
    await unknown_names(store, TYPOS, None, begun=monotonic() - 2 * LOOK.total_seconds())
    assert store.budgets == [timedelta(), timedelta()]
