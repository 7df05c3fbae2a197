"""A relay under load, watched by a Prometheus with our configuration: every panel has something to show."""

import asyncio
import json
import math
import sys
from asyncio import TaskGroup
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.config.files import Query, queries, rules
from tests.config.prometheus import Prometheus, configuration, watching
from tests.config.test_dashboard import variables
from tests.e2e.processes import RelayProcess, until
from tests.e2e.sender import ACCOUNT, Load, body, headers, lead
from tests.e2e.targets import Targets, always, hanging, listening, well

pytestmark = pytest.mark.asyncio(loop_scope="module")  # one scene for all

ADMIN_TOKEN = "9d41c7a0b2e85f6337aa"
MANNERS = {"well": well, "failing": always(503), "refusing": always(400), "hanging": hanging}
STAGES = {number: frozenset({name}) for number, name in enumerate(MANNERS, 1)}
UNROUTED = 9
VARIABLES = {"$source": ".*", "$target": ".*", "$job": ".*", "$instance": ".*", "$__rate_interval": "5s"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prometheus(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prometheus]:
    """It has the relay in sight; webhooks of every kind keep coming."""
    folder = tmp_path_factory.mktemp("live")
    async with (
        listening(**MANNERS) as targets,
        guarded(folder, routes(targets)) as relay,
        watching(folder, configuration(folder, relay.admin_port, ADMIN_TOKEN)) as prometheus,
    ):
        await until(lambda: in_sight(relay, prometheus))
        async with Load(url=relay.hook, stages=STAGES, per_second=20).flowing(connections=2), nuisance(relay):
            yield prometheus


def routes(targets: Targets) -> str:
    """Stage n goes to the nth target, any other to none."""
    document = {
        "version": 1,
        "sources": {"crm": {"token": "${TOKEN}", "accounts": [ACCOUNT["id"]]}},
        "defaults": {"timeout": "300ms", "retry": {"initial": "50ms", "max": "200ms"}},
        "targets": {name: {"url": targets.url(name)} for name in MANNERS},
        "routes": [
            {"name": f"to-{name}", "match": {"status_id": number}, "to": name} for number, name in enumerate(MANNERS, 1)
        ],
    }
    return json.dumps(document)  # which is YAML too


@asynccontextmanager
async def guarded(folder: Path, text: str) -> AsyncIterator[RelayProcess]:
    """A relay whose admin listener asks for the token; Prometheus will tell when it is there."""
    relay = RelayProcess(
        folder, text, command=("env", f"RELAY_ADMIN_TOKEN={ADMIN_TOKEN}", sys.executable, "-m", "relay")
    )
    try:
        await relay.spawn()
        yield relay
    finally:
        await relay.kill()


@asynccontextmanager
async def nuisance(relay: RelayProcess) -> AsyncIterator[None]:
    """Webhooks that are unparsed, unrouted, of a stranger, or with a wrong token, again and again."""
    stranger = body("leads[status][0]", lead(1, "m", 1)).replace(str(ACCOUNT["id"]).encode(), b"7")
    posts = [
        (relay.hook, b"no form of amoCRM's"),
        (relay.hook, body("leads[status][0]", lead(1, "m", UNROUTED))),
        (relay.hook, stranger),
        (f"{relay.hook}-wrong", b""),
    ]

    async def keep_posting(session: aiohttp.ClientSession) -> None:
        while not stop.is_set():
            for url, content in posts:
                async with session.post(url, data=content, headers=headers()):
                    pass
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 0.2)

    stop = asyncio.Event()
    async with aiohttp.ClientSession() as session, TaskGroup() as group:
        group.create_task(keep_posting(session))
        try:
            yield
        finally:
            stop.set()


async def in_sight(relay: RelayProcess, prometheus: Prometheus) -> bool:
    assert relay.process
    assert relay.process.returncode is None, relay.log.read_text()
    return await has_data(prometheus, 'up{job="relay"} == 1')


async def has_data(prometheus: Prometheus, expression: str) -> bool:
    """At least one number: NaN is what 0 / 0 gives."""
    return any(not math.isnan(float(series["value"][1])) for series in await prometheus.query(expression))


def substituted(expression: str) -> str:
    """As Grafana does it, with all sources and targets."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


@pytest.mark.parametrize("query", queries(), ids=str)
async def test_a_panel_has_something_to_show(prometheus: Prometheus, query: Query) -> None:
    await until(lambda: has_data(prometheus, substituted(query.expression)))


@pytest.mark.parametrize(
    ("panel", "holds"),
    [
        ("Ready", "== 1"),
        ("Oldest pending", "> 1"),
        ("Dead", "> 1"),
        ("Unparsed, 24 h", "> 1"),
        ("Since the last webhook", "< 5"),
        ("Failed answers, 2 h", "> 1"),
    ],
)
async def test_the_first_line_tells_what_is_going_on(prometheus: Prometheus, panel: str, holds: str) -> None:
    [query] = [each for each in queries() if each.panel == panel]
    await until(lambda: has_data(prometheus, f"({substituted(query.expression)}) {holds}"))


async def test_each_target_is_shown_in_the_state_it_is_in(prometheus: Prometheus) -> None:
    [query] = [each for each in queries() if each.panel == "State"]

    async def shown() -> bool:
        series = await prometheus.query(substituted(query.expression))
        states = {each["metric"]["target"]: float(each["value"][1]) for each in series}
        held = {2.0, 3.0}
        return states["well"] == states["refusing"] == 1.0 and states["failing"] in held and states["hanging"] in held

    await until(shown)


async def test_a_target_that_took_nothing_has_a_ratio_of_zero(prometheus: Prometheus) -> None:
    [query] = [each for each in queries() if each.panel == "Success ratio"]

    async def failing() -> dict[str, float]:
        series = await prometheus.query(f"({substituted(query.expression)}) < 1")
        return {each["metric"]["target"]: float(each["value"][1]) for each in series}

    async def shown() -> bool:
        return await failing() == {"failing": 0, "hanging": 0, "refusing": 0}

    await until(shown)


@pytest.mark.parametrize("name", ["source", "target"])
async def test_a_variable_offers_what_there_is(prometheus: Prometheus, name: str) -> None:
    series, label = variables()[name]["query"]["query"].removeprefix("label_values(").rstrip(")").split(", ")
    expected = {"source": {"crm", "-"}, "target": set(MANNERS)}[name]

    async def offered() -> bool:
        return set(await prometheus.label_values(series, label)) == expected

    await until(offered)


async def test_every_rule_can_be_evaluated(prometheus: Prometheus) -> None:
    told: list[dict[str, Any]] = []

    async def evaluated() -> bool:
        told[:] = await prometheus.rules()
        return all(rule["health"] != "unknown" for rule in told)

    await until(evaluated)
    assert len(told) == len(rules())
    assert [(rule["name"], rule["lastError"]) for rule in told if rule["health"] != "ok"] == []


async def test_the_alerts_of_a_bad_day_fire_and_only_these(prometheus: Prometheus) -> None:
    async def firing() -> set[str]:
        return {rule["name"] for rule in await prometheus.rules() if rule.get("state") == "firing"}

    async def fired() -> bool:
        return await firing() >= {"RelayDeadDeliveries", "RelayUnparsed"}

    await until(fired)
    assert await firing() <= {"RelayDeadDeliveries", "RelayUnparsed", "RelayFailedAnswers"}
