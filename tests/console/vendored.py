"""Libraries of the console: vendor.json -> their files from npm's package, and their entries in the bill of materials.

`python -m tests.console.vendored`: take the files from the package whose integrity is locked (npm must be installed).
`python -m tests.console.vendored sbom.json`: add the libraries to that bill (CycloneDX).
"""

import base64
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

STATIC = Path(__file__).resolve().parents[2] / "relay/admin/console/static"
VENDOR = STATIC / "vendor"


def locked() -> list[dict[str, Any]]:
    """Name, version, licence, integrity of the package, and `files`: name here -> name in it and SHA-256."""
    return json.loads((VENDOR / "vendor.json").read_text())


def vendor() -> None:
    """Replace the files by those of the packages; ValueError if a package is another one than what was locked."""
    with tempfile.TemporaryDirectory() as folder:
        for library in locked():
            package = f"{library['name']}@{library['version']}"
            command = ["npm", "pack", "--silent", "--pack-destination", folder, package]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            extract(Path(folder, done.stdout.split()[-1]), library)


def extract(archive: Path, library: dict[str, Any]) -> None:
    """Write the files of one library; ValueError if the archive or a file differs from the lock."""
    if integrity(archive.read_bytes()) != library["integrity"]:
        raise ValueError(f"{archive.name} is not what vendor.json locks")
    with tarfile.open(archive) as tar:
        for name, file in library["files"].items():
            member = tar.extractfile(f"package/{file['from']}")
            content = member.read() if member else b""
            if hashlib.sha256(content).hexdigest() != file["sha256"]:
                raise ValueError(f"{name} is not what vendor.json locks")
            (VENDOR / name).write_bytes(content)


def integrity(content: bytes) -> str:
    """As npm writes it."""
    return "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()


def components() -> list[dict[str, Any]]:
    """One for each library, as CycloneDX has it."""
    return [
        {
            "type": "library",
            "bom-ref": f"{library['name']}=={library['version']}",
            "name": library["name"],
            "version": library["version"],
            "purl": f"pkg:npm/{library['name']}@{library['version']}",
            "licenses": [{"license": {"id": library["license"]}}],
            "hashes": [{"alg": "SHA-512", "content": base64.b64decode(library["integrity"][7:]).hex()}],
        }
        for library in locked()
    ]


def add_to(bill: Path) -> None:
    """Add the components, and to what the relay depends on."""
    document = json.loads(bill.read_text())
    document.setdefault("components", []).extend(components())
    document.setdefault("dependencies", []).extend({"ref": each["bom-ref"]} for each in components())
    root = document.get("metadata", {}).get("component", {}).get("bom-ref")
    for each in document["dependencies"]:
        if each["ref"] == root:
            each["dependsOn"] = sorted([*each.get("dependsOn", []), *(one["bom-ref"] for one in components())])
    bill.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    if sys.argv[1:]:
        add_to(Path(sys.argv[1]))
    else:
        vendor()
