"""The names of an account from its API, and the file that keeps them."""

import asyncio
import json
import stat
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
from aiohttp import web

from relay.account.catalog import fetch_catalog
from relay.account.names_cache import cached, confirmed_at, keep, refresh
from relay.errors import AccountAway, AccountError, ConfigurationError, Forbidden, RequestRefused
from relay.model import Account, Json, Secret
from relay.model.names import Catalog, Resolved, find_custom_field, find_stage, find_user
from relay.routes.names_files import cache_file
from tests.account.example_catalog import CATALOG
from tests.account.host import Asking, Host, asking, serving
from tests.fakeamo import FakeAmo, VirtualClock

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
ACCOUNT = Account(name="main", host="example.amocrm.ru", token=Secret("canary.api.token"))


class InProcess:
    """A double of the account, asked without a network; `refusing`: path -> the error that it gives."""

    def __init__(self, amo: FakeAmo, clock: VirtualClock) -> None:
        self.amo = amo
        self.clock = clock
        self.asked: list[str] = []
        self.refusing: dict[str, AccountError] = {}

    async def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Mapping[str, Json] | None:
        self.asked.append(path)
        for each, error in self.refusing.items():
            if each in path:
                raise error
        self.clock.advance(0.2)  # five a second, as the client's limiter has it
        answer = self.amo.request("GET", f"{path}?{urlencode(params or {})}")
        assert answer.status in (200, 204), answer
        return json.loads(answer.body) if answer.body else None


@pytest.fixture
def api() -> InProcess:
    clock = VirtualClock()
    return InProcess(FakeAmo(7, clock=clock), clock)


def fetched(api: InProcess, known: Catalog | None = None) -> Catalog:
    return asyncio.run(fetch_catalog(api, "example.amocrm.ru", known, now=NOW))


def refreshed(api: InProcess, folder: Path, *, after: int = 0) -> Catalog:
    now = NOW + timedelta(hours=after)
    return asyncio.run(refresh(api, ACCOUNT, folder, known=None, now=now))


def test_an_account_tells_the_names_of_everything(api: InProcess) -> None:
    structure, catalog = api.amo.structure, fetched(api)
    assert [each.name for each in catalog.pipelines] == [each.name for each in structure.pipelines]
    for pipeline in structure.pipelines:
        for stage in pipeline.stages:
            answer = find_stage(catalog, f"{pipeline.name}/{stage.name}")
            assert isinstance(answer, Resolved)
            assert {each.rpartition("/")[2] for each in answer.texts} == {str(stage.id)}
    for user in structure.users:
        assert find_user(catalog, user["email"]) == Resolved(texts=frozenset({str(user["id"])}))
    for fields in structure.fields.values():
        for field in fields:
            assert isinstance(find_custom_field(catalog, str(field["id"])), Resolved)
    assert len(api.asked) == 6


def test_every_page_is_read(api: InProcess) -> None:
    for number in range(600):
        api.amo.structure.add_field("leads", f"Поле {number}")
    assert len({each.name for each in fetched(api).custom_fields if each.name.startswith("Поле")}) == 600


class Pages:
    """Answers by path, whatever is asked; every other list is empty."""

    def __init__(self, **answers: Json) -> None:
        self.answers = answers
        self.calls = 0

    async def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Mapping[str, Json] | None:
        self.calls += 1
        return self.answers.get(path.rpartition("/")[2])


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        {"_embedded": []},
        {"_embedded": {"users": {}}},
        {"_embedded": {"users": [None, 5, {}, {"id": "5", "name": "x"}, {"id": 5}, {"id": 5, "name": None}]}},
    ],
)
def test_what_is_no_name_is_left_out(answer: Json) -> None:
    assert asyncio.run(fetch_catalog(Pages(users=answer), "example.amocrm.ru", None, now=NOW)).users == ()


def test_lists_that_do_not_end_are_given_up() -> None:
    endless = Pages(users={"_links": {"next": {"href": "…"}}, "_embedded": {"users": []}})
    with pytest.raises(AccountAway):
        asyncio.run(fetch_catalog(endless, "example.amocrm.ru", None, now=NOW))
    assert endless.calls < 200


@pytest.mark.parametrize("error", [Forbidden("403"), RequestRefused("404", 404)])
def test_what_the_token_may_not_see_stays_as_it_was(api: InProcess, error: AccountError) -> None:
    before = fetched(api)
    api.refusing = {"users": error, "customers/": error}
    assert fetched(api, before).users == before.users
    assert fetched(api).users == ()


def test_an_account_that_shows_no_pipeline_has_them_still(api: InProcess) -> None:
    before = fetched(api)
    api.amo.structure.pipelines.clear()
    assert fetched(api, before).pipelines == before.pipelines


def test_an_account_that_is_away_changes_nothing(api: InProcess, tmp_path: Path) -> None:
    before = refreshed(api, tmp_path)
    api.refusing = {"contacts/": AccountAway("503")}
    with pytest.raises(AccountAway):
        refreshed(api, tmp_path, after=1)
    assert cached(tmp_path, ACCOUNT) == before
    assert confirmed_at(tmp_path, "main") == NOW


# ---- the file


def test_a_cache_is_written_once_and_again_only_if_a_name_changed(api: InProcess, tmp_path: Path) -> None:
    file = cache_file(tmp_path, "main")
    first = refreshed(api, tmp_path)
    written = file.stat().st_mtime_ns, file.stat().st_ino
    refreshed(api, tmp_path, after=1)
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == written
    assert confirmed_at(tmp_path, "main") == NOW + timedelta(hours=1)
    api.amo.structure.pipelines[0].stages[1].name = "Renamed"
    second = refreshed(api, tmp_path, after=2)
    assert file.stat().st_ino != written[1]
    assert cached(tmp_path, ACCOUNT) == second
    old = first.pipelines[0].stages[1].name
    assert second.pipelines[0].stages[1].former == (old,)
    assert isinstance(find_stage(second, f"{second.pipelines[0].name}/{old}"), Resolved)


def test_a_cache_is_for_its_owner_alone(api: InProcess, tmp_path: Path) -> None:
    refreshed(api, tmp_path)
    assert stat.S_IMODE(cache_file(tmp_path, "main").stat().st_mode) == 0o600
    assert sorted(each.name for each in tmp_path.iterdir()) == ["relay-names-main.confirmed", "relay-names-main.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 9}'])
def test_a_cache_that_cannot_be_read_is_made_anew(api: InProcess, tmp_path: Path, content: bytes) -> None:
    cache_file(tmp_path, "main").write_bytes(content)
    assert cached(tmp_path, ACCOUNT) is None
    assert refreshed(api, tmp_path) == cached(tmp_path, ACCOUNT)


def test_the_cache_of_another_host_is_not_believed(tmp_path: Path) -> None:
    keep(tmp_path, ACCOUNT, replace(CATALOG, host="other.amocrm.ru"), now=NOW)
    assert cached(tmp_path, ACCOUNT) is None


def test_what_an_exported_file_remembers_goes_into_the_first_cache(api: InProcess, tmp_path: Path) -> None:
    known = fetched(api)
    api.amo.structure.pipelines[0].name = "Renamed"
    found = asyncio.run(refresh(api, ACCOUNT, tmp_path, known=known, now=NOW))
    assert found.pipelines[0].former == (known.pipelines[0].name,)


def test_a_folder_that_cannot_be_written_is_said(api: InProcess, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"relay-names-main\.json"):
        refreshed(api, tmp_path / "none")


def test_a_write_that_fails_leaves_the_cache_as_it_was(
    api: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = refreshed(api, tmp_path)
    api.amo.structure.pipelines[0].name = "Renamed"

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ConfigurationError, match="No space left"):
        refreshed(api, tmp_path)
    assert cached(tmp_path, ACCOUNT) == before
    assert len(list(tmp_path.iterdir())) == 2


def test_the_client_is_an_api_to_fetch_from() -> None:
    async def main() -> None:
        async with serving() as host, asking(host) as ask:
            await learn(host, ask)

    async def learn(host: Host, ask: Asking) -> None:
        pipelines = {"_embedded": {"pipelines": [{"id": 5, "name": "Продажи", "is_archive": True}]}}
        host.will(web.json_response(pipelines), web.Response(status=204))
        catalog = await fetch_catalog(ask.client, host.account.host, None, now=NOW)
        assert [(each.name, each.archived) for each in catalog.pipelines] == [("Продажи", True)]
        assert host.asked[0] == "GET /api/v4/leads/pipelines?limit=250&page=1"

    asyncio.run(main())
