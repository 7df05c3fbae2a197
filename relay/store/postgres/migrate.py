"""Bring a database's schema up to date: the numbered files of `migrations/`, in one transaction under a lock."""

from importlib.resources import files

from relay.errors import StoreUnsafe
from relay.store.postgres.connection import Transaction

LOCK = 0x616D6F52 << 32  # "amoR": of migrations; see `locks` for those of keys


def newest() -> int:
    """Return the schema that this relay knows."""
    return _scripts()[-1][0]


async def migrate(transaction: Transaction) -> None:
    """Migrate if the schema is older than ours; StoreUnsafe if relays as old as this one must not run any more."""
    await transaction.rows("select pg_advisory_xact_lock(%s)", (LOCK,))
    [(there,)] = await transaction.rows("select to_regclass('relay_meta') is not null")
    found = await transaction.rows("select schema, oldest from relay_meta") if there else [(0, 0)]
    [(schema, oldest)] = found
    if oldest > newest():
        raise StoreUnsafe(
            f"the database needs relays that know schema {oldest}, this one knows {newest()}: upgrade the relay"
        )
    for number, script in _scripts():
        if number > schema:
            await transaction.script(script)


def _scripts() -> list[tuple[int, str]]:
    folder = files("relay.store.postgres") / "migrations"
    scripts = sorted(folder.iterdir(), key=lambda file: file.name)
    return [(int(each.name.split("_")[0]), each.read_text()) for each in scripts]
