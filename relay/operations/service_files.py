"""Where a routes file is, and what shall run the relay -> the files for that: a unit and its socket, or a compose file.

The texts are those in `units`, for /etc/relay; paths are replaced. Nothing is written here.
"""

import json
import secrets
from collections.abc import Mapping
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from shlex import quote

ETC = "/etc/relay"
GROUP = "relay-secrets"
CONTAINER_USER = 10001
"""The uid that the image runs as."""

_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108  by ProtectHome and PrivateTmp of the unit
_PROGRAM = "/opt/relay/bin/relay"


class Service(StrEnum):
    """What runs the relay; NONE is a terminal, or what somebody has already."""

    NONE = "none"
    SYSTEMD = "systemd"
    COMPOSE = "compose"


def service_files(service: Service, routes: Path, program: str) -> Mapping[Path, str]:
    """Path -> text, in the folder of the routes file; `program` is the installed `relay`."""
    folder = routes.absolute().parent
    match service:
        case Service.NONE:
            return {}
        case Service.SYSTEMD:
            return {
                folder / "relay.service": _unit(routes.absolute(), program),
                folder / "relay.socket": _text("relay.socket"),
            }
        case Service.COMPOSE:
            return {
                folder / "compose.yaml": _compose(routes.absolute()),
                folder / "relay.env": f"RELAY_ADMIN_TOKEN={secrets.token_hex(32)}\n",
            }


def hidden(path: Path) -> str | None:
    """The folder around `path` that the unit keeps the relay out of, if there is one."""
    return next((folder for folder in _HIDDEN if path.absolute().is_relative_to(folder)), None)


def next_lines(service: Service, routes: Path) -> tuple[str, ...]:
    """Shell lines, for root and in the folder of the routes file, that have the service run."""
    match service:
        case Service.NONE:
            return ()
        case Service.SYSTEMD:
            return (
                f"groupadd --force --system {GROUP}",
                *_readable(routes, GROUP),
                "install -m 0644 relay.service relay.socket /etc/systemd/system/",
                "systemctl daemon-reload && systemctl enable --now relay.socket relay.service",
            )
        case Service.COMPOSE:
            return (*_readable(routes, str(CONTAINER_USER)), "docker compose up --detach")


def _readable(routes: Path, group: str) -> tuple[str, ...]:
    name = quote(routes.name)
    return (f"chgrp -R {group} {name} secrets && chmod -R u=rwX,g=rX,o= {name} secrets",)


def _unit(routes: Path, program: str) -> str:
    """Escaped for systemd, which expands `%` and splits at blanks outside of quotes."""
    text = _text("relay.service").replace(_PROGRAM, _quoted(program))
    text = text.replace(f"# SupplementaryGroups={GROUP}", f"SupplementaryGroups={GROUP}")
    text = text.replace(f"RELAY_CONFIG={ETC}/routes.yaml", _quoted(f"RELAY_CONFIG={routes}"))
    return text.replace(f"-{ETC}/relay.env", "-" + f"{routes.parent}/relay.env".replace("%", "%%"))


def _quoted(word: str) -> str:
    word = word.replace("%", "%%")
    return word if word.isprintable() and not set(word) & set(" \\\"'$;") else json.dumps(word, ensure_ascii=False)


def _compose(routes: Path) -> str:
    """In double quotes YAML escapes as JSON does; compose expands `$`."""
    inside = {path: json.dumps(str(path), ensure_ascii=False).replace("$", "$$") for path in (routes, routes.parent)}
    text = _text("compose.yaml").replace(f'"{ETC}/routes.yaml"', inside[routes])
    return text.replace(f'"{ETC}"', inside[routes.parent])


def _text(name: str) -> str:
    return files("relay.operations").joinpath("units", name).read_text("utf-8")
