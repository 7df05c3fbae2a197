"""Matching and decoding, in this process: µs of its processor, the least of many in each round.

Matching: an event against 10, 1,000 and 10,000 routes, of which one takes it; alone, and with everything else that is
done for an event (decode, read, match, JSON). Decoding: body -> events, for what a digital pipeline sends and for the
largest sample ÷ `urllib.parse.parse_qsl` of the same text, already decoded from its bytes.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import process_time
from urllib.parse import parse_qsl

from uuid_utils import uuid7

from relay.amocrm import events, form
from relay.model import Event
from relay.routes.config import Config, parse
from relay.routes.owe import owe
from tests.bench.table import Goal, Row
from tests.bench.wrk import BODIES, WEBHOOK, BenchFailed, Plan

NUMBERS = (10, 1_000, 10_000)
REPEATS = 9
AT_ONCE = 0.02
"""Seconds that one measurement takes at least: the clock is coarser than a call."""
MATCH_GOAL = Goal(at_most=1.5)
DECODE_GOAL = Goal(at_most=1.5)
NOW = datetime(2026, 11, 22, 10, 53, tzinfo=UTC)


async def measure(plan: Plan, numbers: Sequence[int] = NUMBERS) -> list[Row]:
    """Both."""
    return [*_matching(plan, numbers), *_decoding(plan)]


# ---- matching


def _matching(plan: Plan, numbers: Sequence[int]) -> list[Row]:
    body = WEBHOOK.body.read_bytes()
    configs = {number: _config(number, _read(body)[0]) for number in numbers}
    return [
        *_rows(plan, configs, "matched", lambda config: _match(config, _read(body)[0])),
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
            goal=MATCH_GOAL if number == 10_000 else None,
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
    return lambda: [owe(event, config) for event in _read(body)]


def _read(body: bytes) -> list[Event]:
    tree = form.decode(body, WEBHOOK.type)
    return events.read(tree, source="crm", received_at=NOW, new_id=lambda: str(uuid7()))


# ---- decoding


def _decoding(plan: Plan) -> list[Row]:
    largest = max(BODIES.glob("*.form"), key=lambda path: path.stat().st_size)
    return [
        *_decoded(plan, "digital pipeline", WEBHOOK.body, DECODE_GOAL),
        *_decoded(plan, "largest sample", largest, None),
    ]


def _decoded(plan: Plan, name: str, path: Path, goal: Goal | None) -> list[Row]:
    body = path.read_bytes()
    text = body.decode()
    calls: dict[str, Callable[[], object]] = {
        "parse_qsl": lambda: parse_qsl(text, keep_blank_values=True),
        "to a tree": lambda: form.decode(body, WEBHOOK.type),
        "to events": lambda: _read(body),
    }
    samples: dict[str, list[float]] = {each: [] for each in calls}
    for _ in range(plan.rounds):
        for each, call in calls.items():
            samples[each].append(microseconds(call))
    return [
        Row(
            bench="decoding",
            what=f"{name}, {len(body):,} bytes, {each}",
            unit="µs/body",
            ours=samples[each],
            beside="parse_qsl",
            theirs=samples["parse_qsl"],
            goal=goal if each == "to events" else None,
        )
        for each in ("to a tree", "to events")
    ]


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
