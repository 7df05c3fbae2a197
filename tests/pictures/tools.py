"""A tool's name -> its path; where it is missing the test is skipped, and in CI it fails."""

import os
import shutil

import pytest


def tool(name: str) -> str:
    """`prometheus` or `promtool`, both of Debian's package prometheus."""
    path = shutil.which(name)
    if path:
        return path
    missing = f"{name} is not installed; on Debian and Ubuntu: apt install prometheus"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)
