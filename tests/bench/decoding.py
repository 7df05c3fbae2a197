"""Bodies -> events, in this process ÷ `urllib.parse.parse_qsl` of the same text, already decoded from its bytes.

What a digital pipeline sends, the new and updated leads of leads.py with their custom fields, and the largest sample.
By shape: as the daemon reads a body whose keys came before (relay/amocrm/shapes.py). Without: form.py and events.py
alone, which is about what any other body costs. Microseconds of the processor for one body, the least of many in each
round.
"""

from collections.abc import Callable, Sequence
from urllib.parse import parse_qsl

from uuid_utils import uuid7

from relay.amocrm.shapes import LEARNED_AT, BodyReader
from tests.bench import leads
from tests.bench.matching import NOW, microseconds, read
from tests.bench.rounds import Plan
from tests.bench.table import Goal, Row
from tests.bench.wrk import BODIES, WEBHOOK, BenchFailed

GOAL = Goal(at_most=1.5)


async def measure(plan: Plan) -> list[Row]:
    """Each kind of body in turn."""
    edited = [body for body in leads.posted(plan.folder) if b"custom_fields" in body]
    largest = max(BODIES.glob("*.form"), key=lambda path: path.stat().st_size)
    return [
        *_decoded(plan, "digital pipeline", [WEBHOOK.body.read_bytes()], GOAL),
        *_decoded(plan, "edited leads", edited, GOAL),
        *_decoded(plan, "largest sample", [largest.read_bytes()], None),
    ]


def _decoded(plan: Plan, name: str, bodies: Sequence[bytes], goal: Goal | None) -> list[Row]:
    texts = [body.decode() for body in bodies]
    by_shape = learned(bodies)
    calls: dict[str, Callable[[], object]] = {
        "parse_qsl": lambda: [parse_qsl(text, keep_blank_values=True) for text in texts],
        "by shape": lambda: [by_shape(body) for body in bodies],
        "without a shape": lambda: [read(body) for body in bodies],
    }
    samples: dict[str, list[float]] = {each: [] for each in calls}
    for _ in range(plan.rounds):
        for each, call in calls.items():
            samples[each].append(microseconds(call) / len(bodies))
    size = sum(map(len, bodies)) // len(bodies)
    return [
        Row(
            bench="decoding",
            what=f"{name}, {size:,} bytes, {each}",
            unit="µs/body",
            ours=samples[each],
            beside="parse_qsl",
            theirs=samples["parse_qsl"],
            goal=goal,
        )
        for each in ("by shape", "without a shape")
    ]


def learned(bodies: Sequence[bytes]) -> Callable[[bytes], object]:
    """Return what reads bodies by the shapes of these. BenchFailed if they have none, or too many to be kept."""
    reader = BodyReader()

    def by_shape(body: bytes) -> object:
        return reader.read(body, WEBHOOK.type, source="crm", received_at=NOW, new_id=lambda: str(uuid7()))

    def sizes() -> set[int]:
        """Read each as often as it takes to learn its shape; what the reader keeps changes with each that it learns."""
        return {reader.size for body in [*bodies] * LEARNED_AT if by_shape(body)}

    sizes()
    if 0 in (known := sizes()) or len(known) > 1:
        raise BenchFailed("these bodies have no shape, or too many")
    return by_shape
