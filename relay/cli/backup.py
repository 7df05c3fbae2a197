"""`relay backup`: the store, in use or not -> a verified copy of it."""

from pathlib import Path

import click

from relay.cli.options import store_option
from relay.cli.screen import note


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite FILE, once the copy is verified.")
@store_option
def backup(file: Path, force: bool, store_path: Path) -> None:
    """Copy the store while it is in use, and verify the copy.

    FILE appears once it is whole, sound and on disk. To restore, stop the daemon, put the copy in the place of the
    store, remove what is left of the old one (its -wal and -shm), and start the daemon: what was pending is delivered,
    and what was delivered since the copy was made is delivered once more. The log says how many webhooks are missing
    that came after the copy, until `relay verify --accept-loss`.

    \b
    relay backup /backups/relay-monday.db
    relay backup /backups/latest.db --force
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    from relay.store.backup import backup as copy

    copied = copy(store_path, file, overwrite=force)
    held = ", ".join(f"{number} {name}" for name, number in copied.counts.items() if number)
    if copied.damaged:
        note(f"{len(copied.damaged)} damaged in the store, and so in the copy: see relay verify")
    click.echo(f"{file}: {copied.size} bytes, verified: {held or 'nothing in it'}")
