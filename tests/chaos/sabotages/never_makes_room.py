"""`relay`, with one promise broken: no connection is evicted, and others wait in the backlog."""

from unittest.mock import patch

from relay.cli import main
from relay.http.fast_protocol import FastProtocol

if __name__ == "__main__":
    patch.object(FastProtocol, "evictable", property(lambda _protocol: False)).start()
    main()
