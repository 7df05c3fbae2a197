"""An event against 10, 1,000 and 10,000 routes, of which one takes it, in this process.

Matching alone, and with everything else that is done for an event (decode, read, match, JSON). Microseconds of the
processor, the least of many in each round.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from time import process_time

from uuid_utils import uuid7

from relay.amocrm import events, form
from relay.model import Event
from relay.routes.config import Config, parse
from relay.routes.plan import plan
from tests.bench.rounds import Plan
from tests.bench.table import Goal, Row
from tests.bench.wrk import WEBHOOK, BenchFailed

NUMBERS = (10, 1_000, 10_000)
REPEATS = 15
AT_ONCE = 0.005
"""Seconds that one measurement takes at least: the clock is coarser than a call."""
GOAL = Goal(at_most=1.5)
NOW = datetime(2026, 11, 22, 10, 53, tzinfo=UTC)


async def measure(plan: Plan, numbers: Sequence[int] = NUMBERS) -> list[Row]:
    """Each number of routes in every round; the fewest are what the others are compared with."""
    body = WEBHOOK.body.read_bytes()
    configs = {number: _config(number, read(body)[0]) for number in numbers}
    return [
        *_rows(plan, configs, "matched", lambda config: _match(config, read(body)[0])),
        *_rows(plan, configs, "decoded, matched, as JSON", lambda config: _understand(config, body)),
    ]


def _rows(
    plan: Plan, configs: dict[int, Config], what: str, call: Callable[[Config], Callable[[], object]]
) -> list[Row]:
    calls = {number: call(config) for number, config in configs.items()}
    samples: dict[int, list[float]] = {number: [] for number in configs}
    for _ in range(plan.rounds):
        for number, each in calls.items():
            samples[number].append(microseconds(each))
    fewest = min(samples)
    return [
        Row(
            bench="matching",
            what=f"{number:,} routes, {what}",
            unit="µs/event",
            ours=ours,
            beside=f"{fewest} routes" if number != fewest else "",
            theirs=samples[fewest] if number != fewest else (),
            goal=GOAL if number == 10_000 else None,
        )
        for number, ours in samples.items()
    ]


def _config(number: int, event: Event) -> Config:
    """So many routes, each for a stage of its own; the one in the middle takes the event."""
    data = event.data
    stages = [(number // 2 - position) or data["status_id"] for position in range(number)]
    lines = [
        f"  - {{name: r{position}, match: {{pipeline_id: {data['pipeline_id']}, status_id: {stage}}}, to: bot}}"
        for position, stage in enumerate(stages)
    ]
    text = 'version: 1\nsources: {crm: {token: "0123456789abcdef0123"}}\ntargets: {bot: {url: "http://127.0.0.1:9/"}}\n'
    return parse(f"{text}routes:\n" + "\n".join(lines), file="bench.yaml", env={})


def _match(config: Config, event: Event) -> Callable[[], object]:
    if len(config.matcher.match(event).routes) != 1:
        raise BenchFailed(f"not one of {len(config.matcher.routes)} routes takes the event")
    return lambda: config.matcher.match(event)


def _understand(config: Config, body: bytes) -> Callable[[], object]:
    return lambda: [plan(event, config) for event in read(body)]


def read(body: bytes) -> list[Event]:
    """The events of a webhook."""
    tree = form.decode(body, WEBHOOK.type)
    return events.read(tree, source="crm", received_at=NOW, new_id=lambda: str(uuid7()))


def microseconds(call: Callable[[], object]) -> float:
    """Of the processor for one call, at its best: what else the machine does can only add."""
    times = 1
    while (best := _timed(call, times)) < AT_ONCE:
        times *= 2
    return min([best, *(_timed(call, times) for _ in range(REPEATS - 1))]) / times * 1e6


def _timed(call: Callable[[], object], times: int) -> float:
    start = process_time()
    for _ in range(times):
        call()
    return process_time() - start
