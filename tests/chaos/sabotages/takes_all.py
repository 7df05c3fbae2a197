"""`relay`, with one promise broken: there is always memory for one more webhook."""

from unittest.mock import patch

from relay.cli import main
from relay.ingest.budget import Budget

if __name__ == "__main__":
    patch.object(Budget, "reserve", lambda *_arguments, **_more: None).start()
    main()
