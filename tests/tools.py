"""What a test needs of this machine: where it is missing the test is skipped, and in CI it fails."""

import os
import shutil

import pytest


def tool(name: str, package: str) -> str:
    """Its path; `package` is the one of Debian that has it."""
    return shutil.which(name) or without(f"{name} is not installed; on Debian and Ubuntu: apt install {package}")


def demand_root() -> None:
    """For tests that mount file systems or change who they are."""
    if os.geteuid() != 0:
        without("only root may do this")


def without(missing: str) -> str:
    """Skip or, in CI, fail."""
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)
