"""`relay`, with one promise broken: for each delivery, its claim reads all that were claimed before, also dead rows."""

from unittest.mock import patch

from relay.cli import main
from relay.store.postgres import claims

WAITS = "and claim is null and due_at <= %(now)s"
PAST_CLAIMED = """
and (select count(*) from deliveries o where o.target = %(target)s and o.state = 'pending' and o.claim is not null
     and o.event < deliveries.event) >= 0
"""

if __name__ == "__main__":
    assert WAITS in claims._CLAIM
    patch.object(claims, "_CLAIM", claims._CLAIM.replace(WAITS, WAITS + PAST_CLAIMED, 1)).start()
    main()
