"""`relay`, with one promise broken: a scan's mark is committed before what was found; the rest is `killed_writing`.

`python -m tests.chaos.marks_first NUMBER FILE …`
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from unittest.mock import patch

from relay.model.heal import HealRecord
from relay.store.requests import KeepRequest
from relay.store.sqlite.healing import SqliteHealing
from tests.chaos import killed_writing

record_heal = SqliteHealing.record_heal


async def marks_first(
    healing: SqliteHealing,
    source: str,
    records: Sequence[HealRecord],
    *,
    healed: Sequence[KeepRequest] = (),
    marks: Mapping[str, datetime] | None = None,
) -> Sequence[HealRecord]:
    """Two commits in the place of one."""
    await record_heal(healing, source, [], marks=marks)
    return await record_heal(healing, source, records, healed=healed)


if __name__ == "__main__":
    patch.object(SqliteHealing, "record_heal", marks_first).start()
    killed_writing.run()
