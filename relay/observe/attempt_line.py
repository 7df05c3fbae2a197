"""Attempted -> its line: the fields of any attempt, and in one step the whole line of one that was delivered.

Almost every attempt is delivered, and `log` takes three times as long to format its fields one by one.
"""

import re
from collections.abc import Callable
from json.encoder import encode_basestring_ascii as quoted
from typing import TypeAlias, assert_never

from relay.model import Dead, Delivered, Delivery, Outcome, Reason, RetryAt, Verdict
from relay.model.trace import trace_id
from relay.observe.log import MILLISECOND, Style, milliseconds, value_as_text
from relay.signals import Attempted

MAX_DETAIL = 500

DeliveredLine: TypeAlias = Callable[[str, Attempted], str | None]
"""Time as text and a delivered attempt -> what `log` makes of `fields`; None if that has to do it."""


def fields(attempted: Attempted, names: str = "") -> dict[str, object]:
    """Return all fields, in their order; `names`: what amoCRM calls the things in the event, if that is known."""
    delivery, outcome = attempted.delivery, attempted.outcome
    return {
        "target": delivery.target,
        "event": delivery.event_id,
        "entity": delivery.entity or None,
        "entity_id": delivery.entity_id or None,
        "names": names or None,
        "attempt": delivery.attempt,
        "outcome": attempted.verdict.name.value,
        "reason": outcome.reason.value,
        "status": outcome.status,
        "ms": milliseconds(outcome.took),
        "batch": outcome.batch,
        "replay": delivery.replay or None,
        "trace_id": trace_id(delivery.trace) or None,
        **_details(attempted.verdict),
        "detail": outcome.detail[:MAX_DETAIL] or None,
    }


def _details(verdict: Verdict) -> dict[str, object]:
    """Return the fields of the verdict beside its name."""
    match verdict:
        case Delivered():
            return {}
        case RetryAt():
            return {"due_at": verdict.due_at}
        case Dead():
            return {"why": verdict.why[:MAX_DETAIL]}
        case _:
            assert_never(verdict)


# ---- in one step


def delivered_line(style: Style) -> DeliveredLine:
    """Return the function for lines of this style."""
    return _as_text if style == "text" else _as_json


# `value_as_text` quotes none of them; it lets other letters pass, too, and takes twice as long to see it
_four_words = re.compile(" ".join([r"[0-9A-Za-z_.:/+@,-]+"] * 4)).fullmatch


def _has_usual_fields(delivery: Delivery, outcome: Outcome) -> bool:
    """Whether the fields are those of almost every line, `detail` aside."""
    return bool(
        delivery.entity
        and delivery.entity_id
        and not delivery.replay
        and outcome.reason is Reason.OK
        and outcome.batch is None
        and outcome.status is not None
    )


def _as_text(time: str, attempted: Attempted) -> str | None:
    delivery, outcome = attempted.delivery, attempted.outcome
    target, event, entity, id_ = delivery.target, delivery.event_id, delivery.entity, delivery.entity_id
    if not (_has_usual_fields(delivery, outcome) and _four_words(f"{target} {event} {entity} {id_}")):
        return None
    line = (
        f"{time} info  attempt target={target} event={event} entity={entity} entity_id={id_}"
        f" attempt={delivery.attempt} outcome=delivered reason=2xx status={outcome.status}"
        f" ms={outcome.took / MILLISECOND:.1f}"
    )
    if delivery.trace:
        line += f" trace_id={trace_id(delivery.trace)}"
    return f"{line} detail={value_as_text(outcome.detail[:MAX_DETAIL])}" if outcome.detail else line


def _as_json(time: str, attempted: Attempted) -> str | None:
    delivery, outcome = attempted.delivery, attempted.outcome
    if not _has_usual_fields(delivery, outcome):
        return None
    trace = f',"trace_id":"{trace_id(delivery.trace)}"' if delivery.trace else ""
    detail = f',"detail":{quoted(outcome.detail[:MAX_DETAIL])}' if outcome.detail else ""
    return (
        f'{{"time":"{time}","level":"info","message":"attempt","target":{quoted(delivery.target)}'
        f',"event":{quoted(delivery.event_id)},"entity":{quoted(delivery.entity)}'
        f',"entity_id":{quoted(delivery.entity_id)},"attempt":{delivery.attempt},"outcome":"delivered","reason":"2xx"'
        f',"status":{outcome.status},"ms":{outcome.took / MILLISECOND:.1f}{trace}{detail}}}'
    )
