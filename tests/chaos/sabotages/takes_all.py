"""`relay`, with one promise broken: there is always memory for one more webhook."""

from unittest.mock import patch

from relay.cli import main
from relay.ingest.budget import Reservation

if __name__ == "__main__":
    patch.object(Reservation, "grow", lambda *_arguments, **_more: None).start()
    main()
