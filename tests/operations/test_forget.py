"""`relay.operations.forget`: what it says of an archive that it cannot erase, or does not know."""

from dataclasses import replace
from pathlib import Path

import pytest

from relay.errors import ArchiveFailed
from relay.operations.desk import Desk
from relay.operations.forget import FORGET, NO_ARCHIVE, Forget
from relay.routes.config import Config
from relay.store.contract import Archive
from tests.operations.conftest import OPERATOR, no_config

PERSON = Forget(entity="leads", id="7")


async def test_an_archive_that_keeps_some_of_it_is_an_error_and_all_else_is_erased(
    store: Archive, config: Config, tmp_path: Path
) -> None:
    (tmp_path / "2026-11-28.ndjson.gz").write_bytes(b"no gzip")
    desk = Desk(store, OPERATOR, config=lambda: replace(config, archive=tmp_path))
    with pytest.raises(ArchiveFailed, match="is damaged"):
        await desk.ask(FORGET, replace(PERSON, now=True))
    assert await store.erasure.open_erasures() == []
    assert [each.command for each in await store.audit(limit=1)] == ["forget"]


async def test_without_the_routes_that_name_it_the_archive_is_out_of_reach(store: Archive, desk: Desk) -> None:
    assert NO_ARCHIVE not in (await desk.ask(FORGET, replace(PERSON, dry_run=True))).out_of_reach
    lost = Desk(store, OPERATOR, config=no_config)
    assert NO_ARCHIVE in (await lost.ask(FORGET, replace(PERSON, dry_run=True))).out_of_reach


def test_whoever_asks_by_the_api_need_not_wait_for_it() -> None:
    assert FORGET.long
