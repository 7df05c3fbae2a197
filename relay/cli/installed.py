"""The systemd unit of this machine -> the variables of its relay, for commands that nothing else gives any.

`config/systemd/relay.service` has the same paths; a test compares them.
"""

import shlex
from collections.abc import Iterator, MutableMapping
from pathlib import Path

UNIT = Path("/etc/systemd/system/relay.service")
CONFIG = Path("/etc/relay/routes.yaml")
VARIABLES = Path("/etc/relay/relay.env")
STORE = "sqlite:////var/lib/relay/relay.db"
SPOOL = Path("/var/lib/relay/relay-spool.db")

_HERE = ("routes.yaml", "relay.db")
_CHOSEN = ("RELAY_CONFIG", "RELAY_STORE")


def adopt(environment: MutableMapping[str, str], *, here: Path = Path()) -> bool:
    """Set the variables of the installed relay, unless there is one in the folder `here` or a variable chooses one.

    Later ones replace earlier ones, as for the daemon: those of the unit, its drop-ins, and `/etc/relay/relay.env`. A
    file that may not be read has none.
    """
    if any(environment.get(name) for name in _CHOSEN) or any((here / name).exists() for name in _HERE):
        return False
    if not CONFIG.exists():
        return False
    found = {"RELAY_CONFIG": str(CONFIG), "RELAY_STORE": STORE, "RELAY_SPOOL": str(SPOOL)}
    for unit in (UNIT, *sorted(UNIT.with_name(f"{UNIT.name}.d").glob("*.conf"))):
        found.update(_of_unit(unit))
    found.update(_of_file(VARIABLES))
    for name, value in found.items():
        environment.setdefault(name, value)
    return True


def _of_unit(file: Path) -> Iterator[tuple[str, str]]:
    """`Environment=NAME=value "OTHER=a value"` lines."""
    for line in _lines(file):
        setting, _, given = line.partition("=")
        if setting.strip() == "Environment":
            for each in _split(given):
                name, equals, value = each.replace("%%", "%").partition("=")
                if equals:
                    yield name, value


def _split(given: str) -> list[str]:
    try:
        return shlex.split(given)
    except ValueError:  # a quote without its end: systemd ignores the line, too
        return []


def _of_file(file: Path) -> Iterator[tuple[str, str]]:
    """NAME=value lines of an EnvironmentFile, perhaps with quotes around a value."""
    for line in _lines(file):
        name, equals, value = line.partition("=")
        if equals:
            yield name.strip(), _unquoted(value.strip())


def _lines(file: Path) -> Iterator[str]:
    """Lines without comments."""
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    yield from (line.strip() for line in lines if line.strip()[:1] not in ("#", ";"))


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value
