"""`relay`, with one promise broken: it takes every other relay for alive."""

from unittest.mock import patch

from relay.cli import main
from relay.store.postgres.beats import Beats

if __name__ == "__main__":
    patch.object(Beats, "silent", lambda *_arguments: {}).start()
    main()
