"""Whether an account is blocked, while several ask at once."""

import asyncio
from pathlib import Path

import pytest

from relay.account.block import Block
from relay.errors import Blocked
from relay.signals import Signal
from relay.signals.account import AccountBlocked
from relay.store.account_records import AccountRecord
from relay.store.sqlite.account_files import AccountFiles
from tests.account.host import Host


class Slow(AccountFiles):
    """Records whose first reading ends when it is told to."""

    def __init__(self, store: Path) -> None:
        super().__init__(store)
        self.asked, self.ends = asyncio.Event(), asyncio.Event()

    async def read(self, account: str) -> AccountRecord:
        """Read them; the first time, as they were before."""
        found = await super().read(account)
        if not self.asked.is_set():
            self.asked.set()
            await self.ends.wait()
        return found


async def test_a_block_found_while_another_looks_it_up_stays(tmp_path: Path) -> None:
    signals: list[Signal] = []
    records = Slow(tmp_path / "relay.db")
    block = Block(Host("http://example.amocrm.ru").account, records=records, emit=signals.append)
    looking = asyncio.create_task(block.check())
    await records.asked.wait()
    await block.set(Blocked("answered 403"))
    records.ends.set()
    with pytest.raises(Blocked):
        await looking
    with pytest.raises(Blocked):
        await block.check()
    await block.set(Blocked("answered 403"))
    assert [type(each) for each in signals] == [AccountBlocked]
