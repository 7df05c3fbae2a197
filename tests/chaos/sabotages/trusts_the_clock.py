"""`relay`, with one promise broken: nobody hears that the clock was set."""

from unittest.mock import patch

from relay.cli import main
from relay.delivery.dispatcher import Dispatcher

if __name__ == "__main__":
    patch.object(Dispatcher, "clock_set", lambda *_arguments: None).start()
    main()
