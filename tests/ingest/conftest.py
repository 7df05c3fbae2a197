"""Fixtures: a relay in this process."""

from tests.scene import limits, scene

__all__ = ["limits", "scene"]
