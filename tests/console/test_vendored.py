"""What the console takes from others: the very bytes that were locked, with a licence, and listed."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from tests.console.vendored import VENDOR, add_to, components, extract, integrity, locked

FILES = [(name, file["sha256"]) for library in locked() for name, file in library["files"].items()]


@pytest.mark.parametrize(("name", "sha256"), FILES)
def test_a_file_is_what_was_locked(name: str, sha256: str) -> None:
    assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == sha256


def test_there_are_no_other_files() -> None:
    assert {each.name for each in VENDOR.iterdir()} == {name for name, _ in FILES} | {"vendor.json"}


@pytest.mark.parametrize("library", locked(), ids=lambda library: library["name"])
def test_a_library_comes_with_its_licence_and_names_its_version(library: dict) -> None:
    assert any("LICENSE" in name for name in library["files"])
    assert all(library["version"] in name for name in library["files"])


def test_a_package_that_is_not_the_locked_one_is_refused(tmp_path: Path) -> None:
    archive, content = tmp_path / "x.tgz", b"alert(1)"
    with tarfile.open(archive, "w:gz") as tar:
        entry = tarfile.TarInfo("package/x.js")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    file = {"x.js": {"from": "x.js", "sha256": hashlib.sha256(b"another").hexdigest()}}
    with pytest.raises(ValueError, match=r"x\.tgz is not what"):
        extract(archive, {"integrity": "sha512-", "files": file})
    with pytest.raises(ValueError, match=r"x\.js is not what"):
        extract(archive, {"integrity": integrity(archive.read_bytes()), "files": file})
    assert not (VENDOR / "x.js").exists()


def test_the_bill_of_materials_lists_each_with_its_hash(tmp_path: Path) -> None:
    bill = tmp_path / "sbom.json"
    bill.write_text(json.dumps({
        "metadata": {"component": {"bom-ref": "root"}},
        "components": [{"name": "aiohttp", "bom-ref": "a"}],
        "dependencies": [{"ref": "root", "dependsOn": ["a"]}],
    }))  # fmt: skip
    add_to(bill)
    found = json.loads(bill.read_text())
    assert [each["name"] for each in found["components"]] == ["aiohttp", "htmx.org"]
    assert found["components"][1]["purl"] == "pkg:npm/htmx.org@4.0.1"
    assert found["dependencies"][0]["dependsOn"] == ["a", components()[0]["bom-ref"]]
