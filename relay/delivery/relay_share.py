"""A target's limits -> this relay's part of them, when several deliver to it. Pure."""

from dataclasses import dataclass

from relay.model import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """At most so many attempts at a time, and so many a second; with a concurrency of 0 the others deliver."""

    concurrency: int
    rate: float | None


def share_of(target: Target, part: int, of: int) -> Share:
    """Part number `part`, from 1, of `of`: the parts' concurrencies and rates add up to the target's."""
    return Share(concurrency=(target.concurrency + of - part) // of, rate=target.rate / of if target.rate else None)
