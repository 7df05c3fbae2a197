"""W3C Trace Context: the `traceparent` of a request -> the trace of its webhook -> the `traceparent` of each attempt.

A trace is text in the form of the header, `00-<trace id>-<span id>-<flags>`, and its span is the webhook's intake. All
ids but those of a traceparent that came are made of the relay's own: nothing else is stored, and every reader finds the
same ones. https://www.w3.org/TR/trace-context/
"""

import re
from functools import lru_cache
from hashlib import blake2b
from zlib import crc32

_KNOWN_FLAGS = 0x03  # 1: sampled; 2: the trace id is random (level 2 of the standard)
_SAMPLED = ("1", "3")  # last digits of a trace
_NEW_FLAGS = "01"

_TRACEPARENT = re.compile("([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?").fullmatch
_128_BITS = re.compile("[0-9a-f]{32}").fullmatch


def parse_traceparent(header: str) -> str:
    """Return the header as version 00 has it, with the flags that version knows; empty if it is invalid (§3.2)."""
    if not (found := _TRACEPARENT(header)):
        return ""
    version, trace_id, parent_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not (trace_id.strip("0") and parent_id.strip("0")):
        return ""
    return f"00-{trace_id}-{parent_id}-{int(flags, 16) & _KNOWN_FLAGS:02x}"


@lru_cache(maxsize=1024)  # store, metrics and log lines ask for the same one within moments
def webhook_trace(webhook: str, traceparent: str = "") -> str:
    """Return the trace of the webhook with this id, which came with this traceparent, or none: "" or an invalid one.

    Without one the trace id is the webhook's id, a UUIDv7 without its dashes. The span id is the last half of that.
    """
    plain = webhook.replace("-", "")
    if not _128_BITS(plain):  # no UUID, as in a store that its disk has changed
        plain = blake2b(webhook.encode(errors="replace"), digest_size=16).hexdigest()
    if traceparent and (came := parse_traceparent(traceparent)):
        return f"{came[:36]}{plain[16:]}{came[52:]}"
    return f"00-{plain}-{plain[16:]}-{_NEW_FLAGS}"


def trace_id(trace: str) -> str:
    """`4bf92f3577b34da6a3ce929d0e0e4736`; empty if there is no trace."""
    return trace[3:35]


def span_id(trace: str) -> str:
    """The span of the intake."""
    return trace[36:52]


def is_sampled(trace: str) -> bool:
    """Whether its spans are to be recorded, by whoever began it."""
    return trace[-1:] in _SAMPLED


def sampled(trace: str) -> str:
    """Return it if it is sampled, else an empty one."""
    return trace if trace[-1:] in _SAMPLED else ""


def attempt_span_id(event: str, target: str, attempt: int) -> str:
    """Return the span id of an attempt: the same at each call, unique among the attempts of the trace.

    Half of it is the event's, half the target's and the attempt's: within a trace that is enough, and every attempt
    takes one.
    """
    return f"{crc32(event.encode('utf-8', 'replace')):08x}{_half_span_id(target, attempt)}"


@lru_cache(maxsize=1024)
def _half_span_id(target: str, attempt: int) -> str:
    """Never 0, so that no span id is."""
    return f"{crc32(f'{target} {attempt}'.encode(errors='replace')) or 1:08x}"


def attempt_traceparent(trace: str, event: str, target: str, attempt: int) -> str:
    """Return the header of an attempt: trace id and flags of its webhook, the attempt as parent."""
    return f"{trace[:36]}{attempt_span_id(event, target, attempt)}{trace[52:]}"
