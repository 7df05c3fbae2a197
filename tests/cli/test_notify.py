"""`relay notify test`: what it prints of each receiver, and its exit code."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.cli.conftest import ROUTES, Run

BODIES: list[dict[str, str]] = []
"""What was posted."""


class Slack(BaseHTTPRequestHandler):
    """Takes what is posted to /ok."""

    def do_POST(self) -> None:
        BODIES.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        status, text = (200, b"ok") if self.path == "/ok" else (404, b"no_service")
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_line: object) -> None:
        """Keep standard error clean."""


@pytest.fixture
def url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Slack)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_each_receiver_is_one_line_and_one_that_does_not_take_it_is_not_done(
    run: Run, kept: Path, folder: Path, url: str
) -> None:
    receivers = f'notify: [{{to: {{slack: {{url: "{url}/ok"}}}}}}, {{to: {{slack: {{url: "{url}/gone"}}}}}}]\n'
    (folder / "routes.yaml").write_text(f"{ROUTES}\n{receivers}")
    ended = run("notify", "test")
    first, second = ended.stdout.splitlines()
    assert first.startswith("slack: sent, ") and first.endswith(": 200 ok")
    assert second.startswith("slack-2: refused, ") and second.endswith(": 404 no_service")
    assert (ended.exit_code, ended.stderr) == (1, "relay: not sent to slack-2\n")
    ended = run("notify", "test", "--to", "1", "--json")
    assert (ended.exit_code, json.loads(ended.stdout)["receivers"][0]["result"]) == (0, "sent")


def test_a_file_without_receivers_says_where_to_read_on(run: Run, kept: Path, folder: Path) -> None:
    (folder / "routes.yaml").write_text(ROUTES)
    ended = run("notify", "test")
    assert (ended.exit_code, ended.stderr) == (1, "relay: the routes file has no notify: see docs/notifications.md\n")


def test_before_the_first_start_it_is_sent_too_and_said_not_to_be_audited(run: Run, folder: Path, url: str) -> None:
    (folder / "routes.yaml").write_text(f'{ROUTES}\nnotify: [{{to: {{slack: {{url: "{url}/ok"}}}}}}]\n')
    ended = run("notify", "test")
    assert ended.exit_code == 0, ended.output
    assert ended.stdout.startswith("slack: sent, ")
    assert ended.stderr.startswith("not in relay audit: no store at ")


@pytest.mark.parametrize("started", [True, False])
def test_a_test_links_to_the_console_that_the_flag_or_its_variable_names(
    run: Run, folder: Path, url: str, started: bool, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if started:
        request.getfixturevalue("kept")
    (folder / "routes.yaml").write_text(f'{ROUTES}\nnotify: [{{to: {{slack: {{url: "{url}/ok"}}}}}}]\n')
    assert run("notify", "test", "--admin-url", "https://relay.example/").exit_code == 0
    assert BODIES[-1]["text"].endswith("\nhttps://relay.example/")
    monkeypatch.setenv("RELAY_ADMIN_URL", "https://other.example")
    assert run("notify", "test").exit_code == 0
    assert BODIES[-1]["text"].endswith("\nhttps://other.example/")
