"""`relay`, with one promise broken: a commit is not on the disk when it says so (`synchronous=NORMAL`)."""

from pathlib import Path
from unittest.mock import patch

import apsw

from relay.cli import main
from relay.store.sqlite import store

connect = store._connect


def connect_carelessly(path: Path, *, read_only: bool = False) -> apsw.Connection:
    connection = connect(path, read_only=read_only)
    connection.pragma("synchronous", "normal")
    return connection


if __name__ == "__main__":
    patch.object(store, "_connect", connect_carelessly).start()
    patch.object(store, "_check_durability", lambda _connection, _path: None).start()
    main()
