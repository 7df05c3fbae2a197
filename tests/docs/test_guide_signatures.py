"""docs/guides/signatures.md: each snippet accepts what the relay signs, and nothing else."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import pytest

from relay.delivery.request import render
from relay.model import Secret
from tests.delivery.conftest import delivery, target
from tests.docs.pages import blocks, read
from tests.tools import tool

PAGE = read("docs/guides/signatures.md")
SECRET = base64.b64encode(b"a secret of 24 bytes, or").decode()
OTHER = base64.b64encode(b"another one of 24 bytes!").decode()
BODY = '{"id":"019a9f2e","data":{"name":"Заявка 1"}}'.encode()


def python(folder: Path) -> list[str]:
    [snippet] = blocks(PAGE, "python")
    (folder / "verify.py").write_text(
        f"{snippet}\nimport json, sys\n"
        "print(json.dumps([is_genuine(each[0], each[1], each[2].encode()) for each in json.load(sys.stdin)]))\n"
    )
    return [sys.executable, "-W", "error", str(folder / "verify.py")]


def php(folder: Path) -> list[str]:
    [snippet] = blocks(PAGE, "php")
    (folder / "verify.php").write_text(
        f"<?php\ndeclare(strict_types=1);\nerror_reporting(E_ALL);\n{snippet}\n"
        "$requests = json_decode(file_get_contents('php://stdin'), true);\n"
        "echo json_encode(array_map(fn($each) => is_genuine(...$each), $requests));\n"
    )
    return [tool("php", "php-cli"), str(folder / "verify.php")]


def node(folder: Path) -> list[str]:
    [snippet] = blocks(PAGE, "js")
    (folder / "verify.js").write_text(
        f"{snippet}\nconst requests = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));\n"
        "console.log(JSON.stringify(requests.map(([secret, headers, body]) => "
        "isGenuine(secret, headers, Buffer.from(body)))));\n"
    )
    return [tool("node", "nodejs"), str(folder / "verify.js")]


Language = Callable[[Path], list[str]]
every_language = pytest.mark.parametrize("language", [python, php, node], ids=lambda it: it.__name__)


Asked: TypeAlias = tuple[str, Mapping[str, str], bytes]


def verdicts(command: list[str], requests: Sequence[Asked]) -> list[bool]:
    """What the snippet says of each: secret, headers, body."""
    asked = json.dumps([(secret, headers, body.decode()) for secret, headers, body in requests])
    run = subprocess.run(command, input=asked, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, ""), run.stderr
    said = json.loads(run.stdout)
    assert len(said) == len(requests) and all(isinstance(each, bool) for each in said)
    return list(said)


def signed(*secrets: str, late: timedelta = timedelta()) -> dict[str, str]:
    """The headers that the relay sends."""
    request = render(delivery(payload=BODY), target(secrets=tuple(map(Secret, secrets))), now=datetime.now(UTC) - late)
    assert request.body == BODY
    return dict(request.all_headers)


@every_language
def test_a_signature_of_the_relay_is_genuine(language: Language, tmp_path: Path) -> None:
    genuine: list[Asked] = [
        (SECRET, signed(SECRET), BODY),
        (f"whsec_{SECRET}", signed(SECRET), BODY),
        (SECRET, signed(OTHER, SECRET), BODY),  # while the secret is rotated
        (OTHER, signed(OTHER, SECRET), BODY),
    ]
    assert verdicts(language(tmp_path), genuine) == [True] * len(genuine)


@every_language
def test_nothing_else_is(language: Language, tmp_path: Path) -> None:
    headers = signed(SECRET)
    false: list[Asked] = [
        (OTHER, headers, BODY),
        (SECRET, headers, BODY + b" "),
        (SECRET, {**headers, "webhook-id": "019a9f2f"}, BODY),
        (SECRET, {**headers, "webhook-signature": ""}, BODY),
        (SECRET, {**headers, "webhook-signature": "v1,"}, BODY),
        (SECRET, {**headers, "webhook-signature": "v1,Заявка"}, BODY),
        (SECRET, {"no": "header"}, BODY),
        (SECRET, {**headers, "webhook-timestamp": "soon"}, BODY),
        (SECRET, {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) - 1)}, BODY),
        *((SECRET, signed(SECRET, late=timedelta(minutes=minutes)), BODY) for minutes in (-6, 6)),
    ]
    assert verdicts(language(tmp_path), false) == [False] * len(false)
