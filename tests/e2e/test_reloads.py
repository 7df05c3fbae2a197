"""Ten reloads a second under load: a webhook goes where the file in force when it came says, and arrives.

RELAY_E2E_RELOAD_SECONDS sets for how long (6); the line it prints has what was seen. Which file is in force at an
instant nobody outside can tell: from when it is written to when its reload is answered it may be that one or the one
before. So a webhook may go by any file that may have been in force between its first byte and its answer; as a reload
takes a small part of the time between two, that is one file for most, if the machine has the time.
"""

import asyncio
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import inf
from pathlib import Path
from random import Random
from time import monotonic
from typing import TypeAlias

import aiohttp
import pytest

from tests.e2e.history import Findings, Received, Sent, judge
from tests.e2e.processes import RELAY, RelayProcess, running
from tests.e2e.sender import Load
from tests.e2e.targets import Targets, flaky, listening, slow, well

SECONDS = float(os.environ.get("RELAY_E2E_RELOAD_SECONDS", "6"))
EVERY = 0.1
PER_SECOND = 150
LATE = (sys.executable, str(Path(__file__).with_name("late.py")))

Names: TypeAlias = frozenset[str]

FILES = [frozenset(names) for names in ("a", "b", "ac", "bc", "c", "ab")]  # each the targets it knows and sends all to
EVERYTHING = frozenset("abc")
INVALID_EACH = 7  # files
ENOUGH = 50  # webhooks with but one file to go by, or the checker has little to say; a busy machine leaves fewer

ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
defaults: {{timeout: 5s, retry: {{initial: 50ms, max: 200ms}}}}
targets:
{targets}
routes:
  - {{name: all, match: {{entity: leads}}, to: [{names}]}}
"""


def routes(targets: Targets, names: Names) -> str:
    lines = [f'  {name}: {{url: "{targets.url(name)}"}}' for name in sorted(names)]
    return ROUTES.format(targets="\n".join(lines), names=", ".join(sorted(names)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reload:
    """A valid file: when it was written, and when the relay had said that it is in force."""

    to: Names
    written: float
    answered: float


def may_be_in_force(reloads: Sequence[Reload], began: float, ended: float) -> list[Names]:
    """The targets of each file that may have been in force at some time between these."""
    untils = [*(after.answered for _, after in pairwise(reloads)), inf]
    return [each.to for each, until in zip(reloads, untils, strict=True) if each.written <= ended and began <= until]


def judge_by(reloads: Sequence[Reload], sent: Sequence[Sent], received: Sequence[Received]) -> Findings:
    """The findings, if each webhook was for the targets of a file that may have been in force: the one it went by."""
    reached: defaultdict[str, set[str]] = defaultdict(set)
    for each in received:
        reached[each.marker].add(each.target)
    planned = []
    for webhook in sent:
        files = may_be_in_force(reloads, webhook.began, webhook.ended)
        went_by = [to for to in files if to == reached[webhook.marker]]
        planned.append(replace(webhook, targets=(went_by or files)[0]))
    return judge(planned, received)


@dataclass(kw_only=True)
class Campaign:
    """What a drained campaign saw."""

    reloads: list[Reload]
    refused: int = 0
    sent: Sequence[Sent] = ()
    answers: Counter[int] = field(default_factory=Counter)
    findings: Findings = field(default_factory=Findings)

    def sharp(self) -> int:
        """For how many webhooks there was but one file to go by."""
        return sum(len(may_be_in_force(self.reloads, each.began, each.ended)) == 1 for each in self.sent)

    def __str__(self) -> str:
        return (
            f"{len(self.reloads) - 1} reloads and {self.refused} refused, {len(self.sent)} webhooks,"
            f" {self.sharp()} of them with one file to go by: {self.findings}"
        )


async def campaign(folder: Path, command: Sequence[str], seconds: float) -> Campaign:
    """Reload a relay under load, then give every target back to it, let it drain, and judge."""
    seen = Campaign(reloads=[Reload(to=FILES[0], written=-inf, answered=-inf)])
    async with (
        listening(a=well, b=slow(0.05), c=flaky(0.3, Random(7))) as targets,
        running(folder, routes(targets, FILES[0]), command=command) as relay,
    ):
        load = Load(url=relay.hook, stages={1: frozenset()}, per_second=PER_SECOND)
        async with load.flowing():
            await keep_reloading(relay, targets, seen, seconds)
        await reload(relay, routes(targets, EVERYTHING))
        await relay.drained()
        assert {fault["message"] for fault in relay.faults()} == {"routes unchanged"}
        seen.answers = load.answers
        seen.sent, seen.findings = load.sent, judge_by(seen.reloads, load.sent, targets.received)
        return seen


async def keep_reloading(relay: RelayProcess, targets: Targets, seen: Campaign, seconds: float) -> None:
    begun = monotonic()
    for number in range(1, int(seconds / EVERY) + 1):
        await asyncio.sleep(begun + number * EVERY - monotonic())
        to, written = FILES[number % len(FILES)], monotonic()
        if number % INVALID_EACH == 0:
            assert await reload(relay, routes(targets, to) + "nonsense: true\n") == 422
            seen.refused += 1
        else:
            assert await reload(relay, routes(targets, to)) == 200
            seen.reloads.append(Reload(to=to, written=written, answered=monotonic()))


async def reload(relay: RelayProcess, text: str) -> int:
    """Put this in the place of the routes file, at one stroke; the status that the relay answers."""
    new = relay.routes.with_suffix(".new")
    new.write_text(text)
    new.replace(relay.routes)
    async with aiohttp.ClientSession() as session, session.post(f"{relay.admin}/-/reload") as answer:
        return answer.status


@pytest.mark.timeout(90 + 3 * SECONDS)
async def test_every_webhook_goes_by_a_file_in_force_and_none_is_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = await campaign(tmp_path, RELAY, SECONDS)
    with capsys.disabled():
        print(f"\n{seen}")
    # 503, and maybe stored all the same: other programs had the disk for longer than a commit may take
    assert seen.answers.total() == len(seen.sent) and seen.answers.keys() <= {200, 503}
    assert seen.answers[503] <= len(seen.sent) // 20
    assert seen.sharp() >= ENOUGH
    assert replace(seen.findings, recovered=frozenset()) == Findings()


async def test_a_relay_that_goes_by_the_file_before_is_found_guilty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = await campaign(tmp_path, LATE, 3)
    with capsys.disabled():
        print(f"\nlate, and found guilty as it should be: {seen}")
    assert seen.findings.unexpected
    assert seen.findings.lost


# ---- the checker

A, B = frozenset("a"), frozenset("b")
RELOADS = [Reload(to=A, written=-inf, answered=-inf), Reload(to=B, written=10.0, answered=10.2)]


@pytest.mark.parametrize(
    ("began", "ended", "files"),
    [
        (9.0, 9.9, [A]),
        (9.8, 10.0, [A, B]),
        (10.1, 10.15, [A, B]),
        (10.2, 11.0, [A, B]),
        (10.3, 11.0, [B]),
        (9.0, 11.0, [A, B]),
    ],
)
def test_while_a_reload_is_on_its_way_both_files_may_be_in_force(
    began: float, ended: float, files: list[Names]
) -> None:
    assert may_be_in_force(RELOADS, began, ended) == files


@pytest.mark.parametrize(("ended", "to_blame"), [(9.9, True), (10.1, False)])
def test_what_went_by_a_file_that_was_not_in_force_yet_is_unexpected_where_it_came_and_lost_where_it_did_not(
    ended: float, to_blame: bool
) -> None:
    sent = Sent(marker="m1", targets=frozenset(), event={}, acknowledged=True, began=9.5, ended=ended)
    came = Received(target="b", marker="m1", event_id="e1", attempt=1, body=b'{"id": "e1"}', accepted=True)
    findings = judge_by(RELOADS, [sent], [came])
    assert bool(findings.unexpected) is bool(findings.lost) is to_blame
