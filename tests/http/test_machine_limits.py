"""`raise_files`: as many open files as the machine allows, and a start as long as that is enough."""

import resource

import pytest

from relay.errors import ConfigurationError
from relay.http.machine_limits import LEAST_FILES, MOST_FILES, raise_files

INFINITE = resource.RLIM_INFINITY


class Machine:
    """Its two limits, and whether a process may raise its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, refuses: Exception | None = None) -> None:
        self.soft, self.hard, self.refuses = soft, hard, refuses
        monkeypatch.setattr(resource, "getrlimit", lambda _which: (self.soft, self.hard))
        monkeypatch.setattr(resource, "setrlimit", self.set)

    def set(self, _which: int, limits: tuple[int, int]) -> None:
        if self.refuses:
            raise self.refuses
        self.soft, self.hard = limits


@pytest.mark.parametrize(
    ("soft", "hard", "files"),
    [
        (1024, 4096, 4096),
        (4096, 4096, 4096),
        (1024, INFINITE, MOST_FILES),
        (2 * MOST_FILES, INFINITE, 2 * MOST_FILES),
        (INFINITE, INFINITE, MOST_FILES),
    ],
)
def test_the_soft_limit_goes_up_to_the_hard_one(
    soft: int, hard: int, files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(monkeypatch, soft, hard)
    assert raise_files() == files
    assert machine.soft in (files, INFINITE)


REFUSALS = [PermissionError(1, "Operation not permitted"), ValueError("not allowed to raise maximum limit"), OSError()]


@pytest.mark.parametrize("refuses", REFUSALS, ids=repr)
def test_where_it_may_not_be_raised_the_relay_goes_on_with_what_there_is(
    refuses: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    Machine(monkeypatch, LEAST_FILES, 4096, refuses)
    assert raise_files() == LEAST_FILES


@pytest.mark.parametrize("refuses", REFUSALS, ids=repr)
def test_or_says_that_it_is_too_little(refuses: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(monkeypatch, LEAST_FILES - 1, 4096, refuses)
    with pytest.raises(ConfigurationError, match=f"only {LEAST_FILES - 1} files"):
        raise_files()
