"""`relay backup`: the store, in use or not -> a verified copy of it."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli.options import json_option
from relay.cli.output import counted_rows, note, print_json
from relay.cli.store import demand_here, operator, store_option, visiting
from relay.errors import RelayError
from relay.operations import backup as operation
from relay.store.open import SqliteUrl, StoreUrl

if TYPE_CHECKING:
    from relay.store.records import BackupCopy


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path, readable=False))
@click.option("--force", is_flag=True, help="Overwrite FILE, once the copy is verified.")
@store_option
@json_option
def backup(file: Path, force: bool, store_url: StoreUrl, as_json: bool) -> None:
    """Copy the store while it is in use, and verify the copy.

    FILE appears once it is whole, sound and on disk. To restore, stop the daemon, put the copy in the place of the
    store, remove what is left of the old one (its -wal and -shm), chown it to the relay's user, and start the daemon:
    what was pending is delivered, and what was delivered since the copy was made is delivered once more. The log says
    how many webhooks are missing that came after the copy, until `relay verify --accept-loss`. For the machine
    that has the store: it takes no --relay.

    \b
    relay backup /backups/relay-monday.db
    relay backup /backups/latest.db --force
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    if not isinstance(store_url, SqliteUrl):
        raise click.UsageError(
            f"{store_url} is no file: back it up by PostgreSQL's own means, as pg_basebackup or"
            " pg_dump --serializable-deferrable"
        )
    demand_here()
    now = datetime.now(UTC)
    copied = operation.copy(store_url, file, overwrite=force)
    content = ", ".join(counted_rows(number, name) for name, number in copied.counts.items() if number)
    if copied.corrupt:
        note(f"{len(copied.corrupt)} corrupt in the store, and so in the copy: see relay verify")
    if as_json:
        print_json({"file": str(file), "bytes": copied.size, "rows": {**copied.counts}, "corrupt": [*copied.corrupt]})
    else:
        click.echo(f"{file}: {copied.size} bytes, verified: {content or 'nothing in it'}")
    asyncio.run(_audit(store_url, str(file.absolute()), copied, now))


async def _audit(store_url: SqliteUrl, file: str, copied: "BackupCopy", now: datetime) -> None:
    """A disk that cannot be written does not prevent a copy, but it does prevent the audit."""
    try:
        async with visiting(store_url) as store:
            await operation.record(store, file, copied, by=operator(), now=now)
    except RelayError as error:
        note(f"copied, but not in the audit: {error}")
