"""Config -> warnings about what can be loaded but is hardly meant, and the results of the file's own tests."""

from dataclasses import dataclass

from relay.errors import Problem
from relay.routes.config import Config, RouteTest
from relay.routes.diagnostics import Where, path_text
from relay.routes.lint.accounts import whole_addresses
from relay.routes.lint.keys import unknown_keys
from relay.routes.lint.routes import everything, nowhere, superfluous
from relay.routes.lint.secrets import guessable, literal_secrets, shared_tokens, variables_without_braces
from relay.routes.lint.stages import missed_creations
from relay.routes.lint.targets import brief_dedupe, clear_text, odd_headers, unused_targets
from relay.routes.lint.values import impossible_values
from relay.routes.match import Matches
from relay.routes.words import listed

_CHECKS = (
    literal_secrets,
    guessable,
    shared_tokens,
    variables_without_braces,
    unused_targets,
    clear_text,
    odd_headers,
    brief_dedupe,
    whole_addresses,
    unknown_keys,
    impossible_values,
    missed_creations,
    everything,
    superfluous,
    nowhere,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """What a test of the file expected and what the routes did."""

    __test__ = False  # pytest collects classes by this name

    test: RouteTest
    got: Matches

    @property
    def passed(self) -> bool:
        """True if nothing differs."""
        return not self.differences

    @property
    def differences(self) -> tuple[str, ...]:
        """`targets: expected sales-bot, got none`, for each part that differs."""
        parts = (("targets", self.test.targets, self.got.targets), ("routes", self.test.routes, self.got.routes))
        return tuple(
            f"{name}: expected {listed(sorted(expected))}, got {listed(sorted(got))}"
            for name, expected, got in parts
            if expected is not None and expected != set(got)
        )


def run_tests(config: Config) -> list[TestResult]:
    """The file's `tests`, in file order."""
    return [TestResult(test=test, got=config.matcher.match(test.event)) for test in config.tests]


def warnings(config: Config) -> list[Problem]:
    """What is worth a second look, in file order; a file with warnings still loads."""
    return sorted(_warning(config, where, message) for check in _CHECKS for where, message in check(config))


def _warning(config: Config, where: Where, message: str) -> Problem:
    line, column = config.document.mark(where)
    return Problem(line, column, path_text(where), message)
