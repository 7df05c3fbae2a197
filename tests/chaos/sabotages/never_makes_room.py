"""`relay`, with one promise broken: whoever is in stays in, and others wait outside."""

from relay.cli import main
from relay.server.protocol import Protocol

if __name__ == "__main__":
    Protocol.unfinished = property(lambda _protocol: False)  # type: ignore[method-assign,assignment]
    main()
