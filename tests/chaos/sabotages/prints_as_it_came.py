"""`relay`, with one promise broken: a terminal is shown what came from outside, as it came."""

from unittest.mock import patch

from relay.cli import main, output

if __name__ == "__main__":
    patch.object(output, "printable", lambda text, keep="": text).start()
    main()
