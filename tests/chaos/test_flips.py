"""One bit of the database is flipped, anywhere: whatever is still sent is what was kept, and what is not is told; R7.

SQLite has no checksums of its own: most flips read back as good, some make the file one that it cannot use.
"""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from random import Random

import apsw
import pytest

from relay.errors import RelayError, StoreError
from relay.model import Order, Target
from relay.store.contract import Archive
from relay.store.sqlite import claims
from relay.store.sqlite.integrity import verify
from tests.chaos.conftest import Report
from tests.chaos.scale import SEED, scaled
from tests.delivery.bench import Bench
from tests.delivery.conftest import receiving, target
from tests.e2e.processes import PATIENCE, until
from tests.store.conftest import MINUTE, NOON, claim, open_sqlite, routed, to, webhook
from tests.store.damage import flip, flip_at

FLIPS = scaled(3000)
EVENTS = 40
PAGE = 4096


@pytest.fixture
async def kept(tmp_path: Path) -> tuple[Path, Mapping[str, bytes]]:
    """A database with events that are pending, and the payload of each."""
    store = open_sqlite(tmp_path, NOON)
    payloads: dict[str, bytes] = {}
    for number in range(EVENTS):
        event = routed(number, to())
        payload = b'{"id":"%s","text":"%s"}' % (event.event.id.encode(), b"lead " * (number * 20))
        payloads[event.event.id] = payload
        await store.keep(replace(webhook(number), body=payload), [replace(event, payload=payload)])
    await store.close()
    return tmp_path / "relay.db", payloads


async def fates(kept: tuple[Path, Mapping[str, bytes]], flips: int) -> Counter[str]:
    """How many flips ended so. `wrong` and `silent` are what must not be."""
    database, payloads = kept
    whole, chance = database.read_bytes(), Random(SEED)
    seen: Counter[str] = Counter()
    for _ in range(flips):
        folder = database.parent / "flipped"
        folder.mkdir()
        (folder / "relay.db").write_bytes(whole)
        offset = chance.randrange(len(whole))
        flip_at(folder / "relay.db", offset)
        seen[await fate(folder, payloads)] += 1
        shutil.rmtree(folder)
    return seen


async def fate(folder: Path, payloads: Mapping[str, bytes]) -> str:
    try:
        store = open_sqlite(folder, NOON)
    except RelayError:
        return "refused at the start"
    try:
        sent = await sent_by(store)
    except (StoreError, apsw.SQLError):  # the latter from the writer: one word of the schema is not what it was
        return "stopped"
    finally:
        await store.close()
    if any(payloads.get(event_id) != payload for event_id, payload in sent.items()):
        return "wrong"
    if len(sent) == EVENTS:
        return "harmless"
    return "told" if not sound(folder / "relay.db") else "silent"


async def sent_by(store: Archive) -> dict[str, bytes]:
    """As a daemon would, which also asks these all the time, and claims again what it could not send at first."""
    await store.status()
    await store.due(["bot"])
    claimed = [each for now in (NOON + MINUTE, NOON + 3 * MINUTE) for each in await claim(store, limit=1000, now=now)]
    return {each.event_id: bytes(each.payload) for each in claimed if not each.corrupt}


def sound(database: Path) -> bool:
    try:
        return verify(database).sound
    except RelayError:
        return False


@pytest.mark.timeout(60 + FLIPS // 20)
async def test_a_flipped_bit_reaches_no_target(kept: tuple[Path, Mapping[str, bytes]], report: Report) -> None:
    seen = await fates(kept, FLIPS)
    told = ", ".join(f"{number} {what}" for what, number in sorted(seen.items()))
    report("one bit flipped", f"{FLIPS} flips (seed {SEED}): {told}; wrong {seen['wrong']}, silent {seen['silent']}")
    assert not seen["wrong"]
    assert not seen["silent"]
    assert seen["told"]


async def test_a_store_that_does_not_look_at_its_checksums_is_found_guilty(
    kept: tuple[Path, Mapping[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "is_corrupt", lambda *_of: False)
    assert (await fates(kept, 100))["wrong"]


@pytest.mark.parametrize("name", ["webhooks", "events", "deliveries", "deliveries_due"])
async def test_a_flipped_number_of_rows_in_a_page_is_found_after_later_writes_too(
    kept: tuple[Path, Mapping[str, bytes]], name: str
) -> None:
    """The header of a root page: rows beyond that number are hidden, and a write to the page drops them."""
    database, payloads = kept
    whole, page = database.read_bytes(), dict(roots(database))[name]
    for bit in range(16):
        (folder := database.parent / f"flipped-{bit}").mkdir()
        changed = bytearray(whole)
        changed[page + 3 + bit // 8] ^= 1 << bit % 8
        (folder / "relay.db").write_bytes(changed)
        with suppress(RelayError, apsw.Error):
            store = open_sqlite(folder, NOON)
            try:
                await store.keep(webhook(EVENTS + 1), [routed(EVENTS + 1, to("dwh"))])
            finally:
                await store.close()
        assert await fate(folder, payloads) not in {"wrong", "silent"}, f"bit {bit}"


# ---- pending deliveries, and a relay that sends them

SOME = scaled(200)
MOMENT = 0.25  # seconds
MOST_LOOKS = 40  # in a moment, of two targets, for what is due
MOST_OF_ONE = 2  # attempts in a moment: the one that was made, and one after it was not settled


@pytest.fixture
async def planned(tmp_path: Path) -> AsyncIterator[tuple[Path, Sequence[Target]]]:
    """A database with pending deliveries to two targets, one of them in order."""
    async with receiving() as ordered, receiving() as free:
        targets = target(url=ordered.url, order=Order.ENTITY), target(name="dwh", url=free.url)
        async with Bench(tmp_path, *targets) as bench:
            bench.dispatcher.pause({each.name for each in targets})
            bench.stop_polling()  # or it would go on, for the store knows of no pause
            for number in range(1, 5):
                await bench.keep([number], lead=lambda number: number % 2)
        yield tmp_path / "relay.db", targets


async def trouble(folder: Path, targets: Sequence[Target], moment: float = MOMENT) -> str:
    """What a flip has done to a relay within a moment; empty if that is nothing, or an honest end."""
    bench = Bench(folder, *targets)
    faults: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(repr(context)))
    try:
        await bench.__aenter__()
    except RelayError:
        return ""
    looks = bench.count_looks()
    with suppress(AssertionError):
        await until(lambda: most_of_one(bench) > MOST_OF_ONE, moment)
    ended, attempts = bench._running.done(), len(bench.attempted)
    failed = bench.store._writer._failure
    with suppress(StoreError):
        await bench.__aexit__()
    if failed:
        return ""
    if ended:
        return "nobody asks any more what is due"
    if faults:
        return faults[0]
    if looks() > MOST_LOOKS or attempts > MOST_LOOKS:
        return "looks or sends without end"
    return "sends one delivery again and again" if most_of_one(bench) > MOST_OF_ONE else ""


def most_of_one(bench: Bench) -> int:
    """Return how many attempts of one delivery there were."""
    sent = Counter((each.delivery.event_id, each.delivery.target) for each in bench.attempted)
    return max(sent.values(), default=0)


@pytest.mark.timeout(60 + SOME * 2)
async def test_a_flipped_bit_of_a_pending_delivery_causes_no_endless_loop(
    planned: tuple[Path, Sequence[Target]], report: Report
) -> None:
    database, targets = planned
    whole, chance = database.read_bytes(), Random(SEED)
    pages = [root for name, root in roots(database) if name.startswith("deliveries")]
    troubles: list[str] = []
    for number in range(SOME):
        folder = database.parent / f"flipped-{number}"
        folder.mkdir()
        page = chance.choice(pages)
        used = [*range(64), *range(int.from_bytes(whole[page + 5 : page + 7], "big"), PAGE)]
        changed = bytearray(whole)
        offset, bit = page + chance.choice(used), chance.randrange(8)
        changed[offset] ^= 1 << bit
        (folder / "relay.db").write_bytes(changed)
        if said := await trouble(folder, targets):
            troubles.append(f"byte {offset}, bit {bit}: {said}")
        shutil.rmtree(folder)
    report("one bit flipped", f"{SOME} flips of pending deliveries (seed {SEED}): {len(troubles)} made trouble")
    assert not troubles


def roots(database: Path) -> list[tuple[str, int]]:
    """Where the pages of each table and index begin."""
    with closing(apsw.Connection(str(database))) as connection:
        return [
            (name, (page - 1) * PAGE) for name, page in connection.execute("select name, rootpage from sqlite_schema")
        ]


async def test_a_store_that_believes_its_index_is_found_guilty(
    planned: tuple[Path, Sequence[Target]], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, targets = planned
    monkeypatch.setattr(claims, "_DUE", claims._DUE.replace("and d.state = 'pending'", ""))
    flip(database, b'\x02bot["all"]pending')
    assert await trouble(database.parent, targets, moment=PATIENCE) == "sends one delivery again and again"


async def test_a_table_that_is_out_of_order_ends_the_relay(planned: tuple[Path, Sequence[Target]]) -> None:
    database, targets = planned
    content = database.read_bytes()
    assert content.count(b'\x02bot["all"]') == 1
    database.write_bytes(content.replace(b'\x02bot["all"]', b'\x02jot["all"]'))  # behind it comes (2, 'dwh')
    async with Bench(database.parent, *targets) as bench:
        await until(lambda: bench.store._writer._failure is not None)
        assert not [each for each in bench.attempted if each.delivery.row == 2 and each.delivery.target == "dwh"]
