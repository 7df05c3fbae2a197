"""List of incoming leads -> records of those that came, and of those that are in it no more: the feed has neither.

An incoming lead (`unsorted`) leaves the list once it is accepted, declined or linked. One that came and left between
two looks was never seen, and one that leaves more than a week after it came is not noticed (amoCRM, API v4, "Unsorted",
2026).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from relay.account.heal import keys
from relay.account.heal.channels import ACCOUNT
from relay.account.heal.feed_events import feed_events, has_next
from relay.account.heal.keys import CAME, LEFT
from relay.account.heal.reader import PATH as EVENTS
from relay.account.heal.reader import Get, Params
from relay.errors import RequestRefused
from relay.model import Json
from relay.model.heal import HORIZON, Exactness, HealRecord, HealState

PATH = "/api/v4/leads/unsorted"
BEFORE = "it came before healing began"

_CUT_OFF = timedelta(milliseconds=1)  # of a mark, by a store
_PAGE = 250
_BATCH = 50
_NOT_FOUND = 404
_OF_A_LEAD = ("lead_added", "lead_status_changed", "lead_deleted")


class IncomingLeads:
    """Looks at the incoming leads of one source, by `get`."""

    def __init__(self, source: str, get: Get) -> None:
        self._source = source
        self._get = get
        self._open: dict[str, HealRecord] = {}
        self._noted_at: datetime | None = None

    def is_behind(self, mark: datetime | None) -> bool:
        """Whether it has to `remember` first: it made no look yet, or another relay has made one since."""
        return mark is None or self._noted_at is None or mark - self._noted_at >= _CUT_OFF

    def remember(self, stored: Iterable[HealRecord]) -> None:
        """Take from the stored records of the last `HORIZON` which leads are in the list."""
        self._open = {}
        self._take(stored)

    def note(self, records: Iterable[HealRecord], upto: datetime) -> None:
        """Take from the records of a look up to then, once they are stored, which leads are in the list."""
        self._take(records)
        self._noted_at = upto

    def _take(self, records: Iterable[HealRecord]) -> None:
        for each in sorted(records, key=lambda record: record.action == LEFT):
            if each.action == CAME:
                self._open[uid_of(each)] = replace(each, after=None)  # what the list shows is data of a person
            elif each.action == LEFT:
                self._open.pop(uid_of(each), None)

    async def look(
        self, since: datetime, upto: datetime, *, begun: Mapping[str, datetime], now: datetime
    ) -> list[HealRecord]:
        """Records of the leads that came from `since` on, and of those that left since the look before.

        `begun`: since when each webhook is wanted. Raises an AccountError.
        """
        items, is_whole = await listed(self._get, since)
        found = {uid_of(each): each for each in came(self._source, items, begun, now)}
        known = {uid: each for uid, each in self._open.items() if each.at > upto - HORIZON}
        self._open = dict(known)
        missing = [uid for uid in known if uid not in found]
        left = {*missing} - (set() if is_whole else await self._still_listed(missing))
        fresh = [each for uid, each in found.items() if uid not in known and each.at >= since]
        if LEFT not in begun or begun[LEFT] > upto:
            return fresh
        return [*fresh, *(_left(each, upto, now) for uid, each in known.items() if uid in left)]

    async def _still_listed(self, uids: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for part in [uids[n : n + _BATCH] for n in range(0, len(uids), _BATCH)]:
            answer = await self._get(PATH, {"filter[uid][]": part, "limit": _PAGE})
            shown = {str(each.get("uid")) for each in _items(answer)}
            found |= shown if shown <= {*part} else {uid for uid in part if await self._is_listed(uid)}
        return found

    async def _is_listed(self, uid: str) -> bool:
        try:
            return await self._get(f"{PATH}/{uid}", {}) is not None
        except RequestRefused as error:
            if error.status != _NOT_FOUND:
                raise
            return False


async def listed(get: Get, since: datetime) -> tuple[list[Mapping[str, Json]], bool]:
    """The incoming leads that came from `since` on, perhaps older ones, and whether these are all that there are."""
    found: list[Mapping[str, Json]] = []
    page = 1
    while answer := await get(PATH, {"order[created_at]": "desc", "limit": _PAGE, "page": page}):
        items = _items(answer)
        found += items
        if not has_next(answer):
            break
        times = [each.get("created_at", 0) for each in found]
        if all(later >= earlier for later, earlier in pairwise(times)) and times[-1] < since.timestamp():
            return found, False
        page += 1
    return found, page == 1  # a list of several pages may have moved while it was read


def came(
    source: str, items: Iterable[Mapping[str, Json]], begun: Mapping[str, datetime], now: datetime
) -> list[HealRecord]:
    """A record of each lead in the list, with all that it shows. One for which no webhook was due is settled."""
    found = []
    for item in items:
        match item:
            case {"uid": str(uid), "created_at": int(seconds)}:
                leads = (item.get("_embedded") or {}).get("leads") or [{}]
                record = HealRecord(
                    source=source,
                    channel=ACCOUNT,
                    event_id=f"unsorted:{uid}",
                    type=f"unsorted/{item.get('category', '')}",
                    action=CAME,
                    entity="leads",
                    entity_id=str(leads[0].get("id", "")),
                    key=keys.added("unsorted", uid).text,
                    at=datetime.fromtimestamp(seconds, UTC),
                    found_at=now,
                    after={name: value for name, value in item.items() if name != "_links"},
                    exactness=Exactness.STATE,
                )
                is_wanted = CAME in begun and begun[CAME] <= record.at
                found.append(
                    record if is_wanted else replace(record, state=HealState.MATCHED, reason=BEFORE, after=None)
                )
    return found


async def outcome(get: Get, lead_id: str) -> Mapping[str, Json]:
    """What became of an incoming lead that left the list, by what the account has of its lead.

    `{"action": "accept"}`, or `decline`; empty if nothing says which. Raises an AccountError.
    """
    if not lead_id:
        return {}
    asked: Params = {
        "filter[entity][]": "lead",
        "filter[entity_id][]": lead_id,
        "filter[type][]": [*_OF_A_LEAD],
        "limit": 100,
    }
    shown = feed_events(await get(EVENTS, asked) or {})
    happened = {each.type for each in shown if (each.entity, str(each.entity_id)) == ("leads", lead_id)}
    if "lead_status_changed" in happened:
        return {"action": "accept"}
    if "lead_deleted" in happened:
        return {"action": "decline"}
    try:
        lead = await get(f"/api/v4/leads/{lead_id}", {})
    except RequestRefused as error:
        if error.status != _NOT_FOUND:
            raise
        lead = None
    return {} if lead is None or lead.get("is_deleted") else {"action": "accept"}


def uid_of(record: HealRecord) -> str:
    """`unsorted.add:0f…` -> `0f…`."""
    return record.key.partition(":")[2]


def _left(before: HealRecord, upto: datetime, now: datetime) -> HealRecord:
    uid = uid_of(before)
    return replace(
        before,
        event_id=f"unsorted:{uid}:left",
        action=LEFT,
        key=keys.left(uid).text,
        at=max(before.at, upto),
        found_at=now,
        state=HealState.SEEN,
        after=None,
        webhook=None,
        item=0,
        reason="",
        exactness=Exactness.APPROXIMATE,
        approved=False,
    )


def _items(answer: Mapping[str, Json] | None) -> list[Mapping[str, Json]]:
    items = ((answer or {}).get("_embedded") or {}).get("unsorted") or ()
    return [each for each in items if isinstance(each, Mapping)]
