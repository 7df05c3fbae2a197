"""Targets, and what acts did to one."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseDocument:
    """Whether a target is `paused` now; `changed` is false if it was so before."""

    target: str
    paused: bool
    changed: bool
