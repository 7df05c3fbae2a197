"""An event -> a body of ten of its fields by one template ÷ the same body by Python and `json.dumps`, in this process.

Beside it, what Telegram's `sendMessage` takes: a text with four filters; and the ten fields as ten templates. Each from
the payload that an attempt has, the event's JSON. Microseconds of the processor for one body, the least of many in each
round.
"""

import json
from collections.abc import Callable, Mapping, Sequence

import orjson

from relay.amocrm.events import dump
from relay.model import Json
from relay.model.templates import event_context
from relay.routes.template import EVENT_NAMES, compile_tree
from tests.bench.matching import microseconds, read
from tests.bench.rounds import Plan
from tests.bench.table import Goal, Row
from tests.bench.wrk import WEBHOOK, BenchFailed

FIELDS = (
    "id", "type", "timestamp", "source", "entity", "action", "account.id", "data.id", "data.status_id",
    "data.pipeline_id",
)  # fmt: skip
TEXT = (
    "*{{ data.name | default(data.id) | markdown_escape }}*: {{ names.status | default(data.status_id) }}\n"
    "{{ timestamp | date('Europe/Moscow') | markdown_escape }} {{ data.price | default(0) | money('₽') }}"
)
MICROSECONDS = Goal(at_most=40)
"""Of an attempt for ten plain fields."""


async def measure(plan: Plan) -> list[Row]:
    """All in turn."""
    payload = dump(read(WEBHOOK.body.read_bytes())[0])
    calls = _calls(payload)
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(plan.rounds):
        for name, call in calls.items():
            samples[name].append(microseconds(call))
    return [
        _row("ten fields, one template", samples["one"], goal=MICROSECONDS),
        _row("ten fields, one template", samples["one"], "json.dumps", samples["plain"]),
        _row("ten fields, ten templates", samples["ten"], "one template", samples["one"]),
        _row("a text with filters", samples["text"], "json.dumps", samples["plain"]),
    ]


def _calls(payload: bytes) -> Mapping[str, Callable[[], object]]:
    def context() -> Json:
        return event_context(orjson.loads(payload))

    one = compile_tree({path: f"{{{{ {path} }}}}" for path in FIELDS}, EVENT_NAMES)
    ten = [compile_tree([f"{{{{ {path} }}}}"], EVENT_NAMES) for path in FIELDS]
    text = compile_tree({"chat_id": 1, "text": TEXT}, EVENT_NAMES)
    if json.loads(one.render(context())) != (plain := _plain(context())):
        raise BenchFailed(f"the template renders something else than {plain}")
    return {
        "one": lambda: one.render(context()),
        "plain": lambda: json.dumps(_plain(context())).encode(),
        "ten": lambda: [each.render(given) for given in [context()] for each in ten],
        "text": lambda: text.render(context()),
    }


def _plain(context: Json) -> Json:
    return {path: _found(context, path.split(".")) for path in FIELDS}


def _found(value: Json, path: Sequence[str]) -> Json:
    for name in path:
        value = value.get(name)
    return value


def _row(
    what: str, ours: Sequence[float], beside: str = "", theirs: Sequence[float] = (), goal: Goal | None = None
) -> Row:
    return Row(bench="rendering", what=what, unit="µs/body", ours=ours, beside=beside, theirs=theirs, goal=goal)
