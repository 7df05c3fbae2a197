"""`relay probe`: what it prints of an answer, and of none."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.cli.conftest import ROUTES, Run


class Answering(BaseHTTPRequestHandler):
    """Answers a probe with 204, and nothing else."""

    def do_OPTIONS(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_line: object) -> None:
        """Keep standard error clean."""


@pytest.fixture
def url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/in"
    server.shutdown()
    thread.join()
    server.server_close()


def route_to(folder: Path, url: str) -> None:
    (folder / "routes.yaml").write_text(ROUTES.replace("https://bot.example/amocrm", url))


def test_what_a_target_answers_is_one_line(run: Run, kept: Path, folder: Path, url: str) -> None:
    route_to(folder, url)
    ended = run("probe", "sales-bot")
    assert ended.exit_code == 0
    assert ended.stdout.startswith("sales-bot answers 204 to OPTIONS, in ") and ended.stdout.endswith(" ms\n")
    shown = json.loads(run("probe", "sales-bot", "--json").stdout)
    assert (shown["reached"], shown["status"], shown["url"]) == (True, 204, url)
    assert json.loads(run("audit", "--json").stdout)[0]["details"] == {"target": "sales-bot", "method": "OPTIONS"}


def test_a_target_that_is_not_reached_is_not_done(run: Run, kept: Path, folder: Path) -> None:
    route_to(folder, "http://127.0.0.1:1/in")
    ended = run("probe", "sales-bot")
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr.startswith("relay: sales-bot is not reached: connect: ")
    ended = run("probe", "sales-bot", "--json")
    assert (ended.exit_code, json.loads(ended.stdout)["reached"]) == (1, False)


def test_a_name_is_one_of_the_routes_file(run: Run, kept: Path) -> None:
    ended = run("probe", "sales-bott")
    assert (ended.exit_code, ended.stderr) == (1, "relay: no target 'sales-bott' (did you mean 'sales-bot'?)\n")


def test_the_secrets_of_requests_must_be_there(run: Run, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DWH_TOKEN")
    ended = run("probe", "warehouse")
    assert ended.exit_code == 1
    assert "DWH_TOKEN" in ended.stderr
