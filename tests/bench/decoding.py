"""Bodies -> events, in this process ÷ `urllib.parse.parse_qsl` of the same text, already decoded from its bytes.

What a digital pipeline sends, and the largest sample. Microseconds of the processor, the least of many in each round.
"""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl

from relay.amocrm import form
from tests.bench.matching import microseconds, read
from tests.bench.rounds import Plan
from tests.bench.table import Goal, Row
from tests.bench.wrk import BODIES, WEBHOOK

GOAL = Goal(at_most=1.5)


async def measure(plan: Plan) -> list[Row]:
    """Both bodies."""
    largest = max(BODIES.glob("*.form"), key=lambda path: path.stat().st_size)
    return [
        *_decoded(plan, "digital pipeline", WEBHOOK.body, GOAL),
        *_decoded(plan, "largest sample", largest, None),
    ]


def _decoded(plan: Plan, name: str, path: Path, goal: Goal | None) -> list[Row]:
    body = path.read_bytes()
    text = body.decode()
    calls: dict[str, Callable[[], object]] = {
        "parse_qsl": lambda: parse_qsl(text, keep_blank_values=True),
        "to a tree": lambda: form.decode(body, WEBHOOK.type),
        "to events": lambda: read(body),
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
