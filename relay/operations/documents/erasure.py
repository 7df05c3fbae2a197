"""What forget answers."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherDocument:
    """What has the same phone, mail or name (`same`) as the person: `also` is what takes it in the next time."""

    also: str
    type: str
    events: int
    same: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetDocument:
    """What was erased, or on a dry run would be. `act`: the id of the audit entry, which is the receipt.

    `events` by type; `dead`: pending deliveries that are not made. `shared`: webhooks that keep the part of others;
    `emptied`: webhooks that could not be cut, so that the others in them lose their body too. `texts`: blanked, by
    table; `archived`: webhooks in archives. `waits_for`: what has not confirmed yet; `out_of_reach`: where copies may
    be that no relay can erase. Nothing here is data of the person.
    """

    act: str
    dry_run: bool
    who: tuple[str, ...]
    events: Mapping[str, int]
    webhooks: int
    shared: tuple[str, ...]
    emptied: tuple[str, ...]
    dead: int
    texts: Mapping[str, int]
    archived: int
    others: tuple[OtherDocument, ...]
    waits_for: tuple[str, ...]
    out_of_reach: tuple[str, ...]
