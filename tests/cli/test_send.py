"""`relay send`: the request as it is on the wire, where it goes, and what is made of the answer."""

import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self
from uuid import UUID

import pytest

from relay.amocrm import form, sample_bodies
from relay.cli.send import masked
from tests.certificates import Pair
from tests.cli.conftest import ROUTES, SECRETS, Run

TOKEN = SECRETS["CRM_TOKEN"]


class Wire:
    """A server that keeps every request byte for byte and gives each the same answer."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
        self.requests: list[bytes] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self._listening.getsockname())
        self._leaving = False
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listening.accept()
            with connection:
                if self._leaving:
                    return
                with suppress(ssl.SSLError):
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        with self._tls.wrap_socket(connection, server_side=True) if self._tls else connection as wire:
            self.requests.append(self._request(wire))
            wire.sendall(self.answer)

    def _request(self, connection: socket.socket) -> bytes:
        request = b""
        while b"\r\n\r\n" not in request:
            if not (more := connection.recv(65_536)):
                return b""
            request += more
        head, _, body = request.partition(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        while len(body) < size:
            body += connection.recv(65_536)
        return head + b"\r\n\r\n" + body

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving = True
        socket.create_connection(self._listening.getsockname()).close()
        self._thread.join()
        self._listening.close()


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire() as made:
        yield made


def parts(request: bytes) -> tuple[str, list[tuple[str, str]], bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return first, [(name, value) for name, _, value in (line.partition(": ") for line in lines)], body


def test_a_query_goes_with_the_address(run: Run, wire: "Wire") -> None:
    sent = run("send", "--event", "leads.add", "--listen", wire.address, "--query", "?try=24h-1st&a=%2f")
    assert sent.exit_code == 0
    assert wire.requests[0].startswith(f"POST /hooks/crm/{TOKEN}?try=24h-1st&a=%2f HTTP/1.1\r\n".encode())
    for wrong in ("try=стадия", "a b", "x#y"):
        refused = run("send", "--event", "leads.add", "--listen", wire.address, "--query", wrong)
        assert (refused.exit_code, "not a query like" in refused.stderr) == (2, True)


def test_it_posts_what_amocrm_posts(run: Run, wire: Wire) -> None:
    ended = run("send", "--event", "leads.status", "--set", "status_id=142", "--listen", wire.address)
    assert ended.exit_code == 0
    first, headers, body = parts(wire.requests[0])
    assert first == f"POST /hooks/crm/{TOKEN} HTTP/1.1"
    assert [name for name, _ in headers] == [
        "Host",
        "Content-Length",
        "User-Agent",
        "Content-Type",
        "X-Amocrm-Requestid",
        "Accept-Encoding",
    ]
    sent = dict(headers)
    assert sent["User-Agent"] == "amoCRM-Webhooks/3.0"
    assert sent["Content-Type"] == "application/x-www-form-urlencoded"
    assert sent["Accept-Encoding"] == "gzip"
    assert UUID(sent["X-Amocrm-Requestid"]).version == 4
    assert body == form.encode(sample_bodies.body("leads.status", fields={"status_id": "142"}))
    assert body.startswith(b"leads%5Bstatus%5D%5B0%5D%5Bid%5D=")


def test_the_answer_and_what_was_sent_are_printed_without_the_token(run: Run, wire: Wire) -> None:
    wire.answer = f"HTTP/1.1 200 OK\r\nContent-Length: {len(TOKEN) + 6}\r\n\r\n\x1b[31m {TOKEN}".encode()
    shown = run("send", "--event", "contacts.add", "--set", "name=Анна", "--listen", wire.address).stdout
    assert f"POST http://{wire.address}/hooks/crm/***" in shown
    assert "contacts[add][0][name]=Анна" in shown
    assert shown.splitlines()[-1].endswith(r": \u001b[31m ***")
    assert TOKEN not in shown


def test_of_a_duplicate_it_says_how_to_post_another(run: Run, wire: Wire) -> None:
    answer = json.dumps({"webhook": "1", "events": 1, "deliveries": 0, "duplicate": True}, separators=(",", ":"))
    wire.answer = f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\n\r\n{answer}".encode()
    ended = run("send", "--event", "contacts.add", "--listen", wire.address)
    said = "it is a duplicate of one stored before: change it to post another, like --set id=7\n"
    assert (ended.exit_code, ended.stderr) == (0, said)


@pytest.mark.parametrize("status", [201, 404, 503])
def test_anything_but_a_200_is_not_done(run: Run, wire: Wire, status: int) -> None:
    wire.answer = f"HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n".encode()
    ended = run("send", "--event", "leads.chat", "--listen", wire.address)
    assert (ended.exit_code, f"\n{status} after " in ended.stdout) == (1, True)


def test_nobody_listening_is_one_clear_line(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    ended = run("send", "--event", "leads.chat", "--listen", f"127.0.0.1:{port}")
    assert ended.exit_code == 1
    assert ended.stderr == f"relay: no answer from 127.0.0.1:{port}: connection refused. Is the relay up?\n"


def test_a_connection_that_is_closed_without_an_answer_asks_for_tls(run: Run, wire: Wire) -> None:
    wire.answer = b""
    ended = run("send", "--event", "leads.chat", "--listen", wire.address)
    assert (ended.exit_code, ended.stderr) == (
        1,
        f"relay: {wire.address} closed the connection without an answer: does it speak TLS? Then name --url https://…\n",
    )


def test_a_certificate_that_is_not_trusted_is_reported_as_such(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = Pair.within(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair.files)
    with Wire(context) as wire:
        posting = ["send", "--event", "leads.chat", "--url", f"https://{wire.address}/hooks/crm/x"]
        ended = run(*posting)
        told = "its certificate is not trusted: set SSL_CERT_FILE to the file of its authority"
        assert (ended.exit_code, ended.stderr) == (1, f"relay: {wire.address}: {told}\n")
        pair.authority.cert_pem.write_to_path(folder / "authority.pem")
        monkeypatch.setenv("SSL_CERT_FILE", "authority.pem")
        assert run(*posting).exit_code == 0
        pair.authority.issue_cert("elsewhere.example").configure_cert(context)
        assert "its certificate does not fit: " in run(*posting).stderr


def test_what_is_no_http_is_one_clear_line(run: Run, wire: Wire) -> None:
    wire.answer = b"SSH-2.0-x\r\n"
    ended = run("send", "--event", "leads.chat", "--listen", wire.address)
    assert (ended.exit_code, ended.stderr.count("\n")) == (1, 1)


def test_a_dry_run_posts_nothing_and_needs_nobody(run: Run) -> None:
    ended = run("send", "--event", "task.add", "--dry-run")
    assert ended.exit_code == 0
    assert "POST http://127.0.0.1:8080/hooks/crm/***" in ended.stdout
    assert "task[add][0][text]=Перезвонить" in ended.stdout


def test_the_bytes_of_a_file_go_as_they_are(run: Run, wire: Wire, folder: Path) -> None:
    (folder / "body.form").write_bytes(b"a=\xcf\x00&;%zz\n")
    assert run("send", "--body", "body.form", "--listen", wire.address).exit_code == 0
    assert parts(wire.requests[0])[2] == b"a=\xcf\x00&;%zz\n"


def test_it_may_be_posted_several_times_each_with_its_own_request_id(run: Run, wire: Wire) -> None:
    assert run("send", "--event", "leads.chat", "--count", "3", "--listen", wire.address).exit_code == 0
    assert len({dict(parts(request)[1])["X-Amocrm-Requestid"] for request in wire.requests}) == 3
    assert len({parts(request)[2] for request in wire.requests}) == 1


def test_of_many_posts_the_first_is_shown_and_a_summary(run: Run, wire: Wire) -> None:
    ended = run("send", "--event", "leads.chat", "--count", "12", "--listen", wire.address)
    assert (ended.exit_code, len(wire.requests)) == (0, 12)
    assert ended.stdout.count("POST ") == ended.stdout.count("200 after ") == 1
    assert re.fullmatch(r"12 posted: 12 answered 200; \d+ ms each, at most \d+ ms", ended.stdout.splitlines()[-1])


def test_the_summary_counts_what_was_not_well(run: Run, wire: Wire) -> None:
    posting = ("send", "--event", "leads.chat", "--count", "11", "--listen", wire.address)
    duplicate = b'{"webhook":"x","duplicate":true}'
    wire.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(duplicate), duplicate)
    assert run(*posting).stdout.splitlines()[-1].startswith("11 posted: 11 answered 200; 11 duplicates; ")
    wire.answer = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
    ended = run(*posting)
    assert (ended.exit_code, ended.stdout.splitlines()[-1].startswith("11 posted: 11 answered 503; ")) == (1, True)


def test_with_a_url_no_routes_file_is_needed(run: Run, wire: Wire, folder: Path) -> None:
    (folder / "routes.yaml").unlink()
    assert run("send", "--event", "leads.chat", "--url", f"http://{wire.address}/in?key=1").exit_code == 0
    assert parts(wire.requests[0])[0] == "POST /in?key=1 HTTP/1.1"


@pytest.mark.parametrize(
    ("account", "id_", "subdomain"),
    [("77", "77", sample_bodies.SUBDOMAIN), ("acme", sample_bodies.ACCOUNT_ID, "acme"), ("77/acme", "77", "acme")],
)
def test_the_account_may_be_chosen(run: Run, wire: Wire, account: str, id_: str, subdomain: str) -> None:
    run("send", "--event", "leads.chat", "--account", account, "--listen", wire.address)
    assert form.decode(parts(wire.requests[0])[2])["account"] == {"id": id_, "subdomain": subdomain}


def test_a_source_that_demands_an_account_gets_one_of_its_own(run: Run, wire: Wire, folder: Path) -> None:
    (folder / "routes.yaml").write_text(
        ROUTES.replace("token: ${CRM_TOKEN}", "token: ${CRM_TOKEN}\n    accounts: [acme]")
    )
    run("send", "--event", "leads.chat", "--listen", wire.address)
    assert form.decode(parts(wire.requests[0])[2])["account"]["subdomain"] == "acme"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--event", "leads.status", "--body", "routes.yaml"],
        ["--event", "leads.nonsense"],
        ["--event", "leads.chat", "--set", "status_id"],
        ["--event", "leads.chat", "--source", "nope"],
        ["--event", "leads.chat", "--url", "ftp://x/y"],
        ["--event", "leads.chat", "--url", "http://x:99999/y"],
        ["--body", "routes.yaml", "--set", "a=1"],
        ["--event", "leads.chat", "--listen", "8080"],
    ],
)
def test_what_makes_no_sense_is_misuse(run: Run, arguments: list[str]) -> None:
    assert run("send", *arguments).exit_code == 2


def test_a_path_in_brackets_is_refused_with_the_one_in_dots(run: Run) -> None:
    ended = run("send", "--event", "leads.update", "--set", "tags[0][name]=web", "--dry-run")
    assert (ended.exit_code, "write a path with dots, like tags.0.name" in ended.stderr) == (2, True)
    assert (
        "[tags][0][name]=web" in run("send", "--event", "leads.update", "--set", "tags.0.name=web", "--dry-run").stdout
    )


def test_won_and_lost_are_words_in_status_fields_alone(run: Run) -> None:
    settings = ["--set", "status_id=won", "--set", "old_status_id=lost", "--set", "name=won"]
    shown = run("send", "--event", "leads.status", *settings, "--dry-run").stdout
    assert [line.partition("[0]")[2] for line in shown.splitlines() if "status_id" in line or "name" in line] == [
        "[status_id]=142",
        "[old_status_id]=143",
        "[name]=won",
    ]


def test_a_url_is_shown_without_its_secrets() -> None:
    assert masked("http://127.0.0.1:8080/hooks/crm/secret") == "http://127.0.0.1:8080/hooks/crm/***"
    assert masked("https://user:pass@x.example/hooks/crm/secret?k=v#f") == "https://x.example/hooks/crm/***"
    assert masked("https://x.example/secret") == "https://x.example/***"


def test_it_may_be_posted_by_another_of_the_sources_tokens_and_none_is_shown(
    run: Run, wire: Wire, folder: Path
) -> None:
    (folder / "routes.yaml").write_text(ROUTES.replace("token: ${CRM_TOKEN}", "token: [first-token, second-token]"))
    arguments = ("send", "--event", "leads.status", "--listen", wire.address)
    ended = [run(*arguments), run(*arguments, "--token", "1"), run(*arguments, "--token", "2")]
    assert [each.exit_code for each in ended] == [0, 0, 0]
    tokens = [request.split(b" ")[1].rpartition(b"/")[2] for request in wire.requests]
    assert tokens == [b"first-token", b"first-token", b"second-token"]
    assert [each.stdout.splitlines()[0] for each in ended] == [
        f"by token {place} of the 2 of source crm" for place in (1, 1, 2)
    ]
    assert all("-token" not in each.stdout for each in ended)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--token", "2"), "the source crm has 1 token"),
        (("--token", "0"), "must be a whole number, 1 or more"),
        (("--token", "1", "--url", "http://127.0.0.1:9/hooks/crm/x"), "--url has its token in it"),
    ],
)
def test_a_token_that_there_is_not_is_misuse(run: Run, arguments: tuple[str, ...], said: str) -> None:
    ended = run("send", "--event", "leads.status", *arguments)
    assert (ended.exit_code, said in ended.stderr) == (2, True), ended.stderr
