"""The newest webhooks that only the shared store has, in memory: after a fail-over some may be missing there."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from relay.store.bare_events import bare
from relay.store.requests import KeepRequest

KEPT = 120.0  # seconds; an asynchronous standby that is further behind must not take over
MOST_WEBHOOKS = 4_096
MOST_BYTES = 32 * 1024 * 1024
OF_AN_EVENT = 1_000  # bytes that one takes beside its payload


@dataclass(slots=True)
class _Kept:
    request: KeepRequest
    at: float
    size: int


class Tail:
    """Webhooks in the order of their commits, each once. `steady` are seconds of a clock that is never set.

    Only a newer commit drops an old one: while the shared store is away none is, however long that takes.
    """

    def __init__(self, steady: Callable[[], float]) -> None:
        self._steady = steady
        self._kept: dict[str, _Kept] = {}
        self._size = 0

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, request: KeepRequest) -> None:
        """Add a webhook that the shared store has committed; one that is there already is now the newest."""
        self._drop(request.webhook.id)
        routed = [bare(each) for each in request.routed]
        size = len(request.webhook.body) + sum(len(each.payload) + OF_AN_EVENT for each in routed)
        now = self._steady()
        self._kept[request.webhook.id] = _Kept(request._replace(routed=routed), now, size)
        self._size += size
        self._prune(now - KEPT)

    def renew(self) -> None:
        """Keep all of them for `KEPT` from now: the shared store has just been seen to have them."""
        for each in self._kept.values():
            each.at = self._steady()

    def pages(self, most: int) -> Iterator[Sequence[KeepRequest]]:
        """Return them, oldest first, at most so many at a time; their events are bare."""
        kept = [each.request for each in self._kept.values()]
        for start in range(0, len(kept), most):
            yield kept[start : start + most]

    def _prune(self, earliest: float) -> None:
        while self._kept:
            id_, oldest = next(iter(self._kept.items()))
            if oldest.at >= earliest and len(self._kept) <= MOST_WEBHOOKS and self._size <= MOST_BYTES:
                break
            self._drop(id_)

    def _drop(self, id_: str) -> None:
        if known := self._kept.pop(id_, None):
            self._size -= known.size
