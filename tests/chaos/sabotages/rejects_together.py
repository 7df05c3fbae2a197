"""`relay`, with one promise broken: what a target rejects of a batch is rejected for all of it."""

from unittest.mock import patch

from relay.cli import main
from relay.delivery import batch_attempt

if __name__ == "__main__":
    patch.object(batch_attempt, "divides", lambda _outcome, _target: False).start()
    main()
