"""`relay`, with one promise broken: nobody hears that the clock was set."""

from relay.cli import main
from relay.delivery.dispatch import Dispatcher

if __name__ == "__main__":
    Dispatcher.clock_set = lambda *_arguments: None  # type: ignore[method-assign]
    main()
