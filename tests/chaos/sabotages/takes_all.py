"""`relay`, with one promise broken: there is always memory for one more webhook."""

from relay.cli import main
from relay.server.space import Space

if __name__ == "__main__":
    Space.take = lambda *_arguments, **_more: None  # type: ignore[method-assign]
    main()
