"""A routes file -> what is known of the names in it: how old they are, which are outdated, which routes they stop."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from relay.routes.config import Config


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownNames:
    """`as_of`: by account when it was asked for its names, None if that has not been done here.

    `outdated`: where the file should have another name, and which. `stopped`: by route why it takes nothing.
    """

    as_of: Mapping[str, datetime | None] = field(default_factory=dict)
    outdated: tuple[str, ...] = ()
    stopped: Mapping[str, str] = field(default_factory=dict)


def known_names(config: Config) -> KnownNames:
    """As this machine knows them; a relay that runs elsewhere has a cache of its own."""
    unknown = dict.fromkeys(config.accounts)
    return KnownNames(
        as_of={**unknown, **{name: catalog.as_of for name, catalog in config.catalogs.items()}},
        outdated=tuple(config.remark_lines()),
        stopped={str(route.name): route.stopped for route in config.routes if route.stopped},
    )
