"""What a connection's server must promise before a webhook is committed to it: PostgreSQL 15, and disks that are told.

The settings are read back on every connection, also that which the connection has set: a failover leads to another
server, and what is between may have swallowed it.
"""

from relay.errors import StoreUnsafe
from relay.store.postgres.connection import Transaction

OLDEST = 150_000  # server_version_num
_ASK = """
select current_setting('server_version_num')::int, current_setting('server_version'), current_setting('fsync'),
  current_setting('full_page_writes'), current_setting('synchronous_commit')
"""


async def check_version(transaction: Transaction) -> None:
    """StoreUnsafe if the server is too old."""
    [(number, version, *_)] = await transaction.rows(_ASK)
    if number < OLDEST:
        raise StoreUnsafe(f"PostgreSQL {version} is too old: the relay needs 15 or newer")


async def check(transaction: Transaction) -> None:
    """StoreUnsafe if a commit of this server may be lost in a crash."""
    await check_version(transaction)
    [(_number, _version, fsync, full_page_writes, synchronous_commit)] = await transaction.rows(_ASK)
    needed = {"fsync": fsync, "full_page_writes": full_page_writes, "synchronous_commit": synchronous_commit}
    if off := [f"{name}={value}" for name, value in needed.items() if value in ("off", "local")]:
        raise StoreUnsafe(
            f"PostgreSQL may lose what it has committed: {', '.join(off)}; needed is on. Set it in postgresql.conf"
        )
