"""Starts that fail, stops, restarts and reloads of a real process: pending deliveries stay, errors are clear."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
import pytest

from tests.e2e.history import judge
from tests.e2e.processes import RELAY, TOKEN, RelayProcess, run, running, until
from tests.e2e.sender import Load, post_lead
from tests.e2e.targets import Behaviour, Targets, hanging, listening, refusing, well

STOP_WITHIN = 25.0
"""Seconds: thrice what is usual, as the machine may have other work. A relay that waits for what is slow takes 50."""

ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
defaults: {{timeout: {timeout}, concurrency: 4, retry: {{initial: 50ms, max: 500ms}}}}
targets:
{targets}
routes:
{routes}
"""


def routes(targets: Targets, matches: Mapping[str, str], *, patience: str = "10s") -> str:
    """A routes file with a route for each of `matches`: target -> match."""
    return ROUTES.format(
        timeout=patience,
        targets="\n".join(f'  {name}: {{url: "{targets.url(name)}"}}' for name in matches),
        routes="\n".join(f"  - {{name: to-{name}, match: {match}, to: {name}}}" for name, match in matches.items()),
    )


ALL = "{entity: leads}"
BOTH = {"good": ALL, "stuck": ALL}
FIRST, SECOND = "{status_id: 1}", "{status_id: 2}"


@asynccontextmanager
async def scene(
    folder: Path, matches: Mapping[str, str], *, patience: str = "10s", **behaviour: Behaviour
) -> AsyncIterator[tuple[RelayProcess, Targets]]:
    """A relay with routes to the targets of `matches`; targets of `behaviour` may be more."""
    async with listening(**behaviour) as targets, running(folder, routes(targets, matches, patience=patience)) as relay:
        yield relay, targets


# ---- stopping


async def test_sigterm_under_load_ends_in_time_and_loses_nothing(tmp_path: Path) -> None:
    async with scene(tmp_path, BOTH, good=well, stuck=hanging) as (relay, targets):
        load = Load(url=relay.hook, stages={1: frozenset({"good", "stuck"})}, per_second=200)
        async with load.flowing():
            await until(lambda: load.acknowledged >= 100)
            asked = monotonic()
            relay.signal(signal.SIGTERM)
            assert await relay.ended() == 0
            assert monotonic() - asked < STOP_WITHIN
        targets.behaviour["stuck"] = well
        await relay.start()
        await relay.drained()
        findings = judge(load.sent, targets.received)
        assert not (findings.lost or findings.unexpected or findings.mismatched)


async def test_sigterm_ends_in_time_whatever_is_slow(tmp_path: Path) -> None:
    async with scene(tmp_path, BOTH, good=well, stuck=hanging, patience="60s") as (relay, targets):
        await post_lead(relay.hook, "m1")
        await until(lambda: len(targets.of("stuck")) == 1)
        relay.routes.write_text(routes(targets, {"good": ALL}))
        assert await reload(relay) == (200, {"reloaded": True})  # and now nobody waits for it but its attempt
        async with stalled(relay, 50):
            asked = monotonic()
            relay.signal(signal.SIGTERM)
            assert await relay.ended() == 0
            assert monotonic() - asked < STOP_WITHIN


@pytest.mark.parametrize("closed", ["0>&-", "1>&-", "2>&-", "0>&- 1>&- 2>&-"])
async def test_a_relay_that_is_started_without_one_of_its_three_files_works_and_ends_well(
    closed: str, tmp_path: Path
) -> None:
    async with listening(good=well) as targets:
        command = ("sh", "-c", f'exec "$@" {closed}', "sh", *RELAY)
        async with running(tmp_path, routes(targets, {"good": ALL}), command=command) as relay:
            assert relay.process
            numbers = [each.removesuffix(">&-") for each in closed.split()]
            opened = Path(f"/proc/{relay.process.pid}/fd")
            assert {(opened / number).readlink() for number in numbers} == {Path(os.devnull)}
            await post_lead(relay.hook, "m1")
            await until(lambda: targets.accepted("good") == ["m1"])
            relay.signal(signal.SIGTERM)
            assert await relay.ended() == 0


@asynccontextmanager
async def stalled(relay: RelayProcess, number: int) -> AsyncIterator[None]:
    """That many requests of which nothing more comes after the head."""
    connections = [await asyncio.open_connection("127.0.0.1", relay.port) for _ in range(number)]
    for _, writer in connections:
        writer.write(f"POST /hooks/crm/{TOKEN} HTTP/1.1\r\nHost: relay\r\nContent-Length: 500\r\n\r\n".encode())
    try:
        yield
    finally:
        for _, writer in connections:
            writer.close()


async def test_a_second_sigterm_ends_at_once(tmp_path: Path) -> None:
    async with scene(tmp_path, {"stuck": ALL}, stuck=hanging, patience="60s") as (relay, targets):
        await post_lead(relay.hook, "m1")
        await until(lambda: len(targets.of("stuck")) == 1)
        relay.signal(signal.SIGTERM)
        await relay.said("stopping")
        relay.signal(signal.SIGTERM)
        assert await relay.ended() == 1
        assert not relay.lines("stopped")
        targets.behaviour["stuck"] = well
        await relay.start()
        await relay.drained()
        assert targets.accepted("stuck") == ["m1"]


# ---- reloading


async def reload(relay: RelayProcess) -> tuple[int, Any]:
    """Status and answer of POST /-/reload."""
    async with aiohttp.ClientSession() as session, session.post(f"{relay.admin}/-/reload") as answer:
        return answer.status, await answer.json()


async def test_a_reload_by_signal_swaps_the_routes(tmp_path: Path) -> None:
    async with scene(tmp_path, {"old": ALL}, old=well, new=well) as (relay, targets):
        await post_lead(relay.hook, "m1")
        await until(lambda: targets.accepted("old") == ["m1"])  # else the reload may orphan it
        relay.routes.write_text(routes(targets, {"new": ALL}))
        relay.signal(signal.SIGHUP)
        await relay.said("routes reloaded")
        await post_lead(relay.hook, "m2")
        await relay.drained()
        assert (targets.accepted("old"), targets.accepted("new")) == (["m1"], ["m2"])
        relay.signal(signal.SIGHUP)  # of a file that has not changed, which nothing but the signal loads again
        await relay.said("routes reloaded", 2)


async def test_a_changed_file_is_loaded_by_itself_and_once(tmp_path: Path) -> None:
    async with scene(tmp_path, {"old": ALL}, old=well, new=well) as (relay, targets):
        other = tmp_path / "other.yaml"
        other.write_text(routes(targets, {"new": ALL}))
        other.replace(relay.routes)
        await relay.said("routes reloaded")
        await post_lead(relay.hook, "m1")
        await relay.drained()
        assert targets.accepted("new") == ["m1"]
        relay.routes.unlink()
        await relay.said("routes unchanged")
        await post_lead(relay.hook, "m2")
        await relay.drained()
        assert targets.accepted("new") == ["m1", "m2"]
        assert len(relay.lines("routes reloaded")) == 1


async def test_a_reload_by_post_swaps_the_routes(tmp_path: Path) -> None:
    async with scene(tmp_path, {"old": ALL}, old=well, new=well) as (relay, targets):
        relay.routes.write_text(routes(targets, {"old": FIRST, "new": SECOND}))
        assert await reload(relay) == (200, {"reloaded": True})
        await post_lead(relay.hook, "m1", status_id=1)
        await post_lead(relay.hook, "m2", status_id=2)
        await relay.drained()
        assert (targets.accepted("old"), targets.accepted("new")) == (["m1"], ["m2"])
        assert await relay.metric("relay_config_last_reload_successful") == 1


async def test_a_bad_file_changes_nothing_and_every_error_is_said(tmp_path: Path) -> None:
    async with scene(tmp_path, {"old": ALL}, old=well) as (relay, targets):
        relay.routes.write_text(BAD)
        status, answer = await reload(relay)
        assert (status, answer["reloaded"]) == (422, False)
        assert places(relay.routes, answer["problems"]) == WHAT_IS_BAD
        said = len(await relay.said("routes unchanged"))
        relay.signal(signal.SIGHUP)
        unchanged = await relay.said("routes unchanged", said + 1)
        assert all(line["problems"] == answer["problems"] for line in unchanged)
        assert await relay.metric("relay_config_last_reload_successful") == 0
        await post_lead(relay.hook, "m1")
        await relay.drained()
        assert targets.accepted("old") == ["m1"]


async def test_deliveries_of_a_removed_target_are_orphaned_until_it_comes_back(tmp_path: Path) -> None:
    behaviour = {"good": well, "away": refusing(1_000)}
    async with scene(tmp_path, {"good": ALL, "away": ALL}, **behaviour) as (relay, targets):
        for marker in ("m1", "m2", "m3"):
            await post_lead(relay.hook, marker)
        await until(lambda: len({each.marker for each in targets.of("away")}) == 3)
        relay.routes.write_text(routes(targets, {"good": ALL}))
        assert (await reload(relay))[0] == 200
        assert (await relay.said("routes reloaded"))[-1]["parked"] == ["away"]
        standing = {each["target"]: each for each in (await relay.command("status"))["targets"]}
        assert (standing["away"]["pending"], standing["away"]["in_routes"]) == (3, False)
        assert await relay.metric("relay_deliveries_pending", target="away") == 3

        targets.behaviour["away"] = well
        relay.routes.write_text(routes(targets, {"good": ALL, "away": ALL}))
        assert (await reload(relay))[0] == 200
        await relay.drained()
        assert sorted(targets.accepted("away")) == ["m1", "m2", "m3"]


# ---- starts that fail

BAD = """\
version: 1
sources:
  crm: {token: "${NO_SUCH_VARIABLE}"}
targets:
  old: {url: "ftp://127.0.0.1/x"}
routes:
  - {name: all, match: {entity: leads}, to: odl}
  - {name: all, match: {entity: leads}, too: old}
"""
WHAT_IS_BAD = [
    "3:9  sources.crm.token",
    "5:9  targets.old.url",
    "7:41  routes[0].to",
    "8:6  routes[1].name",
    "8:41  routes[1].too",
]


def places(file: Path, problems: Sequence[str]) -> list[str]:
    """Line, column and path of each problem, which must begin with the file."""
    return [problem.removeprefix(f"{file}:").partition(": ")[0] for problem in problems]


async def refused(*arguments: str, **more: str) -> str:
    """The one line a start ends with: code 1, no traceback, nothing else said."""
    code, printed, complaint = await run(*arguments, **more)
    assert code == 1
    assert printed == ""
    assert "Traceback" not in complaint
    [said] = told(complaint)
    return said


def told(complaint: str) -> list[str]:
    """What each line says; they are of the log, in the format that was asked for."""
    return [json.loads(line)["detail"] for line in complaint.splitlines()]


@pytest.fixture
def idle(tmp_path: Path) -> RelayProcess:
    """A relay that could be started."""
    text = ROUTES.format(
        timeout="1s", targets='  old: {url: "http://127.0.0.1:9/"}', routes=f"  - {{name: all, match: {ALL}, to: old}}"
    )
    return RelayProcess(tmp_path, text)


async def test_what_is_to_be_said_of_the_routes_file_keeps_no_relay_from_starting(idle: RelayProcess) -> None:
    idle.routes.chmod(0o666)
    try:
        await idle.start()
        assert len(await idle.said("the routes file is writable by others")) == 1
    finally:
        await idle.kill()


async def test_a_second_relay_on_one_store_is_refused_and_names_the_owner(idle: RelayProcess) -> None:
    try:
        await idle.start()
        assert idle.process
        said = await refused(*idle.arguments, "--listen=127.0.0.1:0", "--admin=127.0.0.1:0")
        assert f"{idle.store} is in use by another relay, pid {idle.process.pid}:" in said
    finally:
        await idle.kill()


async def test_a_store_is_free_again_after_kill_9(idle: RelayProcess) -> None:
    try:
        await idle.start()
        await idle.kill()
        await idle.start()
    finally:
        await idle.kill()


@pytest.mark.parametrize("flag", ["--listen", "--admin"])
async def test_a_port_in_use_is_one_clear_line(flag: str, idle: RelayProcess) -> None:
    async with listening() as other:
        said = await refused(*idle.arguments, f"{flag}=127.0.0.1:{other.port}")
        assert f"cannot listen on 127.0.0.1:{other.port}: Address already in use" in said
        assert said.rstrip().endswith(f"choose another with {flag}")


async def test_an_admin_address_for_strangers_needs_a_token(idle: RelayProcess) -> None:
    said = await refused(*idle.arguments, "--admin=0.0.0.0:0")
    assert "RELAY_ADMIN_TOKEN" in said
    assert not idle.store.exists()


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0"])
async def test_an_admin_address_for_strangers_needs_a_token_that_nobody_guesses(
    address: str, idle: RelayProcess
) -> None:
    said = await refused(*idle.arguments, f"--admin={address}", RELAY_ADMIN_TOKEN="0123456789abcdefghi")
    assert "RELAY_ADMIN_TOKEN has fewer than 20 characters" in said
    assert "openssl rand -hex 32" in said
    assert "0123456789" not in said
    assert not idle.store.exists()


async def test_a_store_in_no_folder_is_one_clear_line(idle: RelayProcess, tmp_path: Path) -> None:
    said = await refused(*idle.arguments, f"--store=sqlite:///{tmp_path}/missing/relay.db")
    assert f"no folder {tmp_path}/missing for the store" in said


async def test_a_store_that_is_no_database_is_one_clear_line(idle: RelayProcess) -> None:
    idle.store.write_bytes(b"not a database, but somebody's file\n" * 100)
    said = await refused(*idle.arguments)
    assert "is not a database" in said
    assert idle.store.read_bytes().startswith(b"not a database")


async def test_a_missing_routes_file_is_one_clear_line(idle: RelayProcess) -> None:
    idle.routes.unlink()
    assert str(idle.routes) in await refused(*idle.arguments)
    assert not idle.store.exists()


async def test_all_errors_of_a_routes_file_are_reported_and_the_store_is_not_touched(idle: RelayProcess) -> None:
    idle.routes.write_text(BAD)
    code, printed, complaint = await run(*idle.arguments)
    assert (code, printed) == (1, "")
    assert places(idle.routes, told(complaint)) == WHAT_IS_BAD
    assert not idle.store.exists()


async def test_a_parser_in_python_is_refused(idle: RelayProcess) -> None:
    said = await refused(*idle.arguments, AIOHTTP_NO_EXTENSIONS="1")
    assert "runs without its C parser: install a binary wheel of it" in said
    assert not idle.store.exists()


async def test_a_lock_holds_though_the_files_beside_the_store_are_removed(idle: RelayProcess) -> None:
    async def begun() -> bool:
        """It has committed a probe and how it stands; with the next one, in 5 s, it would miss its files and end."""
        return await idle.metric("relay_store_commit_seconds_count") >= 2

    try:
        await idle.start()
        await until(begun)
        for suffix in ("-shm", "-wal"):
            idle.store.with_name(idle.store.name + suffix).unlink()
        said = await refused(*idle.arguments, "--listen=127.0.0.1:0", "--admin=127.0.0.1:0")
        assert f"{idle.store} is in use by another relay, pid" in said
    finally:
        await idle.kill()
