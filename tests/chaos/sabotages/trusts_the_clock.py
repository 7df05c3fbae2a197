"""`relay`, with one promise broken: nobody hears that the clock was set."""

from unittest.mock import patch

from relay.cli import main
from relay.store.sqlite.store import SqliteStore

if __name__ == "__main__":
    patch.object(SqliteStore, "_clock_was_set", lambda *_arguments: None).start()
    main()
