"""`relay`, with one promise broken: it says that it is not ready while it spools."""

from unittest.mock import patch

from relay.cli import main
from relay.daemon.readiness import Readiness

unready = Readiness.unready


async def unready_while_spooling(readiness: Readiness) -> str | None:
    """A balancer takes it out, although it can take webhooks."""
    state = readiness._spool()
    return await unready(readiness) or (None if state is None or state.direct else "spooling")


if __name__ == "__main__":
    patch.object(Readiness, "unready", unready_while_spooling).start()
    main()
