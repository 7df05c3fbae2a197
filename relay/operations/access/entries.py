"""JSON of the access file <-> Entry: the name, role and token hash of each person or program. Pure.

{
  "version": 1,
  "tokens": {
    "olga": {"role": "viewer", "id": "5f0c21aa", "sha256": "…", "created_at": "2026-11-30T12:00:00.000Z"}
  }
}
"""

import json
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import orjson

from relay.amocrm import strict_json
from relay.errors import ConfigurationError
from relay.model import frozen
from relay.operations.access import tokens
from relay.operations.asker import Asker, Role
from relay.rfc3339 import rfc3339

VERSION = 1
MAX_ENTRIES = 1_000
MAX_NAME = 64  # characters; names are labels of a metric
ADMIN, VIEWER, LOOPBACK = "RELAY_ADMIN_TOKEN", "RELAY_VIEWER_TOKEN", "loopback"
"""The names of askers that are in no file."""
_RESERVED = {name.casefold() for name in (ADMIN, VIEWER, LOOPBACK)}


@frozen
class Entry:
    """One token. `payloads`: a viewer sees field values unmasked; an operator always does."""

    name: str
    role: Role
    id: str
    sha256: str
    created_at: datetime
    expires_at: datetime | None = None
    payloads: bool = False

    def expired(self, now: datetime) -> bool:
        """True from `expires_at` on."""
        return self.expires_at is not None and now >= self.expires_at

    @property
    def asker(self) -> Asker:
        """The asker of this token."""
        return Asker(name=self.name, role=self.role, payloads=self.payloads or self.role is Role.OPERATOR)


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    role: Role
    id: str
    sha256: str
    created_at: datetime
    expires_at: datetime | None = None
    payloads: bool = False


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    version: int
    tokens: dict[str, _Row]


def read(data: bytes, file: str) -> tuple[Entry, ...]:
    """The entries by name; ConfigurationError names the file and the place, and quotes no hash."""
    try:
        return _entries(msgspec.convert(strict_json.parse(data.decode()), _File))
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file} is not an access file: it is not UTF-8") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ConfigurationError(
            f"{file} is not an access file: no JSON from {place} on; if it is damaged, take it from a backup, or remove"
            " it and make new tokens with relay access add"
        ) from None
    except (ValueError, msgspec.ValidationError) as error:
        raise ConfigurationError(f"{file} is not an access file: {error}") from None


def write(entries: Sequence[Entry]) -> bytes:
    """The file of these entries, by name."""
    found = {each.name: _row(each) for each in sorted(entries, key=lambda each: each.name)}
    return orjson.dumps(
        {"version": VERSION, "tokens": found},
        option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE,
    )


def composed(name: str) -> str:
    """The name as it is stored, however its letters were typed (Unicode NFC)."""
    return unicodedata.normalize("NFC", name)


def demand_name(name: str) -> str:
    """The name `composed`; ValueError for what would read as something else in the audit."""
    name = composed(name)
    if not 1 <= len(name) <= MAX_NAME or not all(each.isalnum() or each in "._-" for each in name):
        raise ValueError(f"a name has 1 to {MAX_NAME} letters, digits, dots, dashes and underscores")
    if name.casefold() in _RESERVED:
        raise ValueError(f"{name} is the name of the relay's own: choose another")
    return name


def _entries(file: _File) -> tuple[Entry, ...]:
    if file.version != VERSION:
        raise ValueError(f"version {file.version} is of a newer relay: this one reads {VERSION}")
    if len(file.tokens) > MAX_ENTRIES:
        raise ValueError(f"it has {len(file.tokens)} tokens: at most {MAX_ENTRIES}")
    found = tuple(_entry(name, row) for name, row in file.tokens.items())
    if len({each.id for each in found}) < len(found):
        raise ValueError("two tokens have the same id")
    return found


def _entry(name: str, row: _Row) -> Entry:
    at = f"tokens.{name}"
    if demand_name(name) != name:
        raise ValueError(f"{at}: the name is not in its composed form (NFC)")
    if not tokens.ID.fullmatch(row.id):
        raise ValueError(f"{at}.id: 8 hexadecimal digits are expected")
    if not tokens.SHA256.fullmatch(row.sha256):
        raise ValueError(f"{at}.sha256: 64 hexadecimal digits are expected")
    return Entry(
        name=name,
        role=row.role,
        id=row.id,
        sha256=row.sha256,
        created_at=_aware(row.created_at, f"{at}.created_at"),
        expires_at=_aware(row.expires_at, f"{at}.expires_at") if row.expires_at else None,
        payloads=row.payloads,
    )


def _aware(at: datetime, where: str) -> datetime:
    if at.tzinfo is None:
        raise ValueError(f"{where}: a time with its zone is expected, like 2026-11-30T12:00:00Z")
    return at.astimezone(UTC)


def _row(entry: Entry) -> dict[str, object]:
    row: dict[str, object] = {
        "role": entry.role,
        "id": entry.id,
        "sha256": entry.sha256,
        "created_at": rfc3339(entry.created_at),
    }
    row |= {"expires_at": rfc3339(entry.expires_at)} if entry.expires_at else {}
    return row | ({"payloads": True} if entry.payloads else {})
