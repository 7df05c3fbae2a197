"""A routes file and a certificate -> their problems and warnings, and how the file's own tests went."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from relay.errors import ConfigurationError, Problem, RoutesInvalid
from relay.file_versions import detached
from relay.operations.request_tests import run_tests
from relay.routes import config, lint
from relay.routes.config import Config
from relay.routes.egress import ignored_variables
from relay.routes.permissions import writable_by_others
from relay.routes.route_tests import RouteTestResult
from relay.tls import Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """`config` is None if the file has errors. `misfit`: what is wrong with the certificate and its key.

    `text` is what was read, for excerpts of it. Warnings alone are good unless `strict`. `notes` are about the
    environment in which it was checked, which may be another one than the relay's: they are good in any case.
    """

    file: str
    text: bytes
    config: Config | None
    errors: Sequence[Problem] = ()
    misfit: Sequence[Problem] = ()
    warnings: Sequence[Problem] = ()
    notes: Sequence[str] = ()
    tests: Sequence[RouteTestResult] = ()
    strict: bool = False

    @property
    def good(self) -> bool:
        """True if it can be used and does what its tests say."""
        failed = any(not test.passed for test in self.tests)
        return self.config is not None and not self.misfit and not failed and not (self.strict and self.warnings)


def check(
    file: Path | bytes,
    *,
    name: str,
    env: Mapping[str, str],
    stand_ins: bool = False,
    strict: bool = False,
    certificate: tuple[Path, Path] | None = None,
    names: Path | None = None,
    sealed: bool = False,
) -> Checked:
    """Check a routes file, or its text, under the `name` that messages give it.

    `stand_ins`: missing secrets are no errors. `certificate`: of the public listener, and its key. `names`: the folder
    with the catalogs of accounts. `sealed`: for a text that comes from elsewhere, see `config.parse`.
    """
    misfit = _misfit(certificate) if certificate else []
    read = [*([file] if isinstance(file, Path) else []), *(certificate or ())]
    text = b""
    try:
        text = file if isinstance(file, bytes) else config.read(file)
        checked = config.parse(
            text, file=name, env=env, stand_ins=stand_ins, names=names, on_open=read.append, sealed=sealed
        )
    except RoutesInvalid as invalid:
        return Checked(file=invalid.file, text=text, config=None, errors=invalid.problems, misfit=misfit)
    exposed = writable_by_others(file) if isinstance(file, Path) else None
    ignored = ignored_variables(checked.targets.values(), env)
    return Checked(
        file=checked.file,
        text=text,
        config=checked,
        misfit=misfit,
        warnings=[*_of_file(exposed), *_outdated(read), *lint.warnings(checked)],
        notes=[ignored] if ignored else [],
        tests=run_tests(checked),
        strict=strict,
    )


def load(
    file: Path | bytes, *, name: str, env: Mapping[str, str], names: Path | None = None, sealed: bool = False
) -> Config:
    """The routes alone, to be compared with others: without secrets that are missing here. Raises RoutesInvalid."""
    text = file if isinstance(file, bytes) else config.read(file)
    return config.parse(text, file=name, env=env, stand_ins=True, names=names, sealed=sealed)


def _misfit(certificate: tuple[Path, Path]) -> list[Problem]:
    """The text names the file."""
    try:
        Certificate(*certificate)
    except ConfigurationError as error:
        return _of_file(str(error))
    return []


def _outdated(read: Sequence[Path]) -> list[Problem]:
    """Files whose content differs from what an editor of the same path sees."""
    return [problem for file in dict.fromkeys(read) if (how := detached(file)) for problem in _of_file(f"{file} {how}")]


def _of_file(message: str | None) -> list[Problem]:
    """A problem of a file as a whole: no line."""
    return [Problem(0, 0, "", message)] if message else []
