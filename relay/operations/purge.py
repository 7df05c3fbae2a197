"""Ages -> the webhooks that have been kept for longer are deleted, with all that came of them."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, fields
from datetime import datetime, timedelta
from pathlib import Path

from relay.model import Json, Retention
from relay.operations import audit
from relay.store.archive import ArchiveFolder
from relay.store.contract import OperationsStore

AGES = tuple(each.name for each in fields(Retention))
"""The states that retention has an age for."""

DONE_WITH = ("delivered", "unrouted")
"""What goes by an age alone: what is dead or unparsed may still be wanted, and goes only if it is named."""

Ages = Mapping[str, timedelta | None]
"""By state; None: for ever. A state that is missing is not purged either."""


def chosen_ages(retention: Retention, states: Collection[str] = ()) -> Ages:
    """The ages of `retention`, of these states or of all."""
    return {name: age for name, age in asdict(retention).items() if not states or name in states}


def one_age(age: timedelta, states: Collection[str] = ()) -> Ages:
    """The same age for these states, or for what is `DONE_WITH`."""
    return dict.fromkeys(states or DONE_WITH, age)


async def purge(
    store: OperationsStore,
    ages: Ages,
    *,
    by: str,
    now: datetime,
    archive: Path | None = None,
    dry_run: bool = False,
    act_id: str | None = None,
) -> Mapping[str, int]:
    """Delete what is older and has nothing pending; how many webhooks, by state. A dry run only counts them.

    What is deleted is written to the folder `archive` before; ArchiveFailed, and it stays, if that cannot be done.
    """
    retention = Retention(**{name: ages.get(name) for name in AGES})
    act = audit.entry("purge", _details(ages), by=by, now=now, id_=act_id)
    folder = ArchiveFolder(archive) if archive else None
    return await store.purge(retention, now=now, act=act, dry_run=dry_run, archive=folder)


def _details(ages: Ages) -> dict[str, Json]:
    return {name: "forever" if age is None else str(age) for name, age in ages.items()}
