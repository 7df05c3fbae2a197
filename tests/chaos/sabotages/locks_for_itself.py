"""`relay`, with one promise broken: other relays do not see its locks of ordering keys."""

import os
from unittest.mock import patch

from relay.cli import main
from relay.store.postgres import locks

if __name__ == "__main__":
    patch.object(locks, "_FIRST", os.getpid() * 1_000_000).start()
    main()
