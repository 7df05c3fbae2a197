"""A configuration -> a Prometheus in a process of its own, on loopback, that can be asked."""

import asyncio
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.config.files import ALERTS, PROMETHEUS
from tests.e2e.processes import PATIENCE, free_port, until
from tests.tools import tool


class Prometheus:
    """Answers of its HTTP API."""

    def __init__(self, port: int, process: Process, log: Path) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self._process = process
        self._log = log

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query, each with its `metric` and `value`."""
        return list((await self._get("/api/v1/query", query=expression))["result"])

    async def label_values(self, series: str, label: str) -> list[str]:
        """As Grafana asks for `label_values(series, label)`."""
        values: list[str] = await self._get(f"/api/v1/label/{label}/values", **{"match[]": series})
        return values

    async def rules(self) -> list[dict[str, Any]]:
        """Each with its name, health, lastError and, if it is an alert, state."""
        groups = (await self._get("/api/v1/rules"))["groups"]
        return [rule for group in groups for rule in group["rules"]]

    async def ready(self) -> bool:
        assert self._process.returncode is None, self._log.read_text()
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{self._url}/-/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def _get(self, path: str, **parameters: str) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.get(self._url + path, params=parameters) as answer,
        ):
            told = await answer.json()
            assert told["status"] == "success", (parameters, told)
            return told["data"]


def configuration(folder: Path, port: int, token: str) -> Path:
    """Ours, with the relay's address and the token's file here, and fifteen times as quick."""
    ours = yaml.safe_load(PROMETHEUS.read_text())
    [scrape] = ours["scrape_configs"]
    secret = folder / "token"
    secret.write_text(token)
    scrape["authorization"]["credentials_file"] = str(secret)
    scrape["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]
    ours["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (folder / ALERTS.name).write_text(ALERTS.read_text())
    changed = folder / PROMETHEUS.name
    changed.write_text(yaml.safe_dump(ours))
    return changed


@asynccontextmanager
async def watching(folder: Path, configuration: Path) -> AsyncIterator[Prometheus]:
    """One that is ready; whatever happens, it does not outlive the block."""
    port, log = free_port(), folder / "prometheus.log"
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            tool("prometheus", "prometheus"),
            f"--config.file={configuration}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stderr=file,
        )
    try:
        prometheus = Prometheus(port, process, log)
        await until(prometheus.ready)
        yield prometheus
    finally:
        await _end(process)


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(PATIENCE):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
