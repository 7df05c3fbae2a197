"""`relay`, with two promises broken: deliveries are held for an hour, and none takes over from a relay that is dead."""

from datetime import timedelta
from unittest.mock import patch

from relay.cli import main
from relay.routes import plan
from relay.store.postgres.beats import Beats

if __name__ == "__main__":
    patch.object(plan, "HOLD", timedelta(hours=1)).start()
    patch.object(Beats, "silent", lambda *_arguments: {}).start()
    main()
