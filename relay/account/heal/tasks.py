"""List of tasks by their last change -> records of changes that the feed does not have, as of a task's owner.

The list says that a task changed, and not what of it: a change for which the feed has an event is left to that.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime

from relay.account.heal import keys
from relay.account.heal.channels import UPDATES
from relay.account.heal.expected import OF_TASKS
from relay.account.heal.feed_events import has_next
from relay.account.heal.lanes import Lane
from relay.account.heal.limits import DRIFT
from relay.account.heal.reader import FeedReader, Get
from relay.model.heal import Exactness, HealRecord

PATH = "/api/v4/tasks"
_PAGE = 250
_FEED = Lane("tasks", {}, tuple(sorted(OF_TASKS | {"entity_responsible_changed"})))


async def changed_tasks(
    source: str, get: Get, reader: FeedReader, since: datetime, upto: datetime, *, now: datetime
) -> list[HealRecord]:
    """Records of the changes of tasks in a span that no event of the feed shows. Raises an AccountError."""
    listed = await _listed(get, since, upto)
    if not listed:
        return []
    explained: defaultdict[int, list[datetime]] = defaultdict(list)
    for event in await reader.read(_FEED, min(listed.values()) - DRIFT, upto):
        if event.entity == "task":
            explained[event.entity_id].append(event.at)
    return [
        _record(source, id_, at, now)
        for id_, at in sorted(listed.items())
        if not any(each >= at for each in explained[id_])
    ]


async def _listed(get: Get, since: datetime, upto: datetime) -> Mapping[int, datetime]:
    """The last change of each task that changed last in a span; a list of several pages may move while it is read."""
    found = await _pages(get, since, upto)
    return found if len(found) < _PAGE else found | await _pages(get, since, upto)


async def _pages(get: Get, since: datetime, upto: datetime) -> dict[int, datetime]:
    first, last = int(since.timestamp()), int(upto.timestamp())
    found: dict[int, datetime] = {}
    page = 1
    asked = {"filter[updated_at][from]": first, "filter[updated_at][to]": last, "limit": _PAGE}
    while answer := await get(PATH, {**asked, "page": page}):
        for each in (answer.get("_embedded") or {}).get("tasks") or ():
            match each:
                case {"id": int(id_), "updated_at": int(at)} if first <= at <= last:
                    found[id_] = datetime.fromtimestamp(at, UTC)
        if not has_next(answer):
            break
        page += 1
    return found


def _record(source: str, task_id: int, at: datetime, now: datetime) -> HealRecord:
    return HealRecord(
        source=source,
        channel=UPDATES,
        event_id=f"task:{task_id}:{int(at.timestamp())}",
        type="tasks",
        action="task.update",
        entity="task",
        entity_id=str(task_id),
        key=keys.updated("task", task_id).text,
        at=at,
        found_at=now,
        exactness=Exactness.APPROXIMATE,
    )
