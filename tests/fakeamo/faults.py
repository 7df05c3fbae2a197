"""Answers that go wrong, by request or by chance."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from tests.fakeamo.documents import page_of_nginx, problem
from tests.fakeamo.values import Ending, FakeAnswer

GONE = FakeAnswer(status=0, ending=Ending.RESET)


def _cut(answer: FakeAnswer) -> FakeAnswer:
    return replace(answer, body=answer.body[: len(answer.body) // 2], ending=Ending.CUT)


KINDS: dict[str, Callable[[FakeAnswer], FakeAnswer]] = {
    "500": lambda _: problem(500, "Internal error", title="ErrInternalServer", trace_id="1"),
    "502": lambda _: page_of_nginx(502),
    "504": lambda _: page_of_nginx(504),
    "429": lambda _: page_of_nginx(429),
    "blocked": lambda _: page_of_nginx(403),
    "no rights": lambda _: problem(403, "Forbidden"),
    "not my address": lambda _: problem(403, "Access denied for this IP", error_code=113),
    "unauthorized": lambda _: problem(401, "Unauthorized"),
    "unpaid": lambda _: problem(402, "Payment Required"),
    "page": lambda _: replace(page_of_nginx(200), status=200),
    "empty": lambda answer: replace(answer, body=b""),
    "cut": _cut,
    "reset": lambda _: GONE,
    "slow": lambda answer: replace(answer, delay=25.0),
}
"""Name -> what becomes of the right answer. The request is carried out all the same, but for those of 4xx."""

BEFORE = frozenset({"500", "429", "blocked", "no rights", "not my address", "unauthorized", "unpaid"})
"""Those that keep a request from being carried out."""


@dataclass(kw_only=True)
class Fault:
    """The next `times` requests whose path begins so."""

    kind: str
    path: str = "/"
    method: str = ""
    times: int = 1


class Faults:
    def __init__(self, random: Random) -> None:
        self.share = 0.0
        """Of all requests, those that go wrong by chance, by one of `by_chance`."""
        self.by_chance = ("500", "502", "504", "page", "cut", "reset", "slow")
        self.hit = 0
        self._random = random
        self._planned: list[Fault] = []

    def plan(self, kind: str, path: str = "/", *, method: str = "", times: int = 1) -> None:
        if kind not in KINDS:
            raise LookupError(f"no fault {kind!r}; there are {', '.join(KINDS)}")
        self._planned.append(Fault(kind=kind, path=path, method=method, times=times))

    def clear(self) -> None:
        self._planned.clear()
        self.share = 0.0

    def next(self, method: str, path: str) -> str:
        """What goes wrong with this request; empty if nothing does."""
        for fault in self._planned:
            if path.startswith(fault.path) and fault.method in ("", method):
                fault.times -= 1
                if fault.times == 0:
                    self._planned.remove(fault)
                self.hit += 1
                return fault.kind
        if self.share and self._random.random() < self.share:
            self.hit += 1
            return self._random.choice(self.by_chance)
        return ""
