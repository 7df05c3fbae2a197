"""`relay.store.sqlite.disk`: the disks on which a store should not be."""

import subprocess
from pathlib import Path

import pytest

from relay.store.sqlite import disk
from relay.store.sqlite.disk import doubt, mounted
from tests.tools import tool

MOUNTS = r"""
22 27 0:21 / /proc rw,nosuid shared:12 - proc proc rw
27 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 27 0:50 / /srv/nfs rw,relatime shared:9 master:2 - nfs4 server:/x rw,vers=4.2
31 30 254:2 / /srv/nfs/local rw - xfs /dev/vdb rw
32 27 0:51 / /mnt/with\040blank rw - cifs //server/x rw
33 27 0:52 / /run rw - tmpfs tmpfs rw
34 27 254:3 / /var/lib/relay rw - nfs old:/relay rw
35 34 254:4 / /var/lib/relay rw - ext4 /dev/vdc rw
36 27 0:53 / /merged rw - overlay overlay rw,lowerdir=/a - b
nonsense
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/olga/relay.db", None),
        ("/srv/nfs/relay.db", "nfs4"),
        ("/srv/nfs/deep/er/relay.db", "nfs4"),
        ("/srv/nfs/local/relay.db", None),
        ("/srv/nfs2/relay.db", None),
        ("/mnt/with blank/relay.db", "cifs"),
        ("/run/relay.db", "tmpfs"),
        ("/var/lib/relay/relay.db", None),
        ("/merged/relay.db", "overlay"),
    ],
)
def test_the_nearest_mount_decides(path: str, kind: str | None) -> None:
    said = doubt(Path(path), MOUNTS)
    assert (said.split(" ")[0] if said else None) == kind


def test_where_nothing_is_known_nothing_is_said() -> None:
    assert doubt(Path("/x/relay.db"), "") is None


@pytest.mark.parametrize(("folder", "name"), [("/proc", "proc"), ("/sys", "sysfs"), ("/dev/shm", "tmpfs")])
def test_the_kernel_is_asked_for_what_is_mounted_in_this_process(
    folder: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As statfs(2), which stat(1) asks, has it."""
    stat = subprocess.run([tool("stat", "coreutils"), "-f", "-c", "%T", folder], capture_output=True, text=True)
    if stat.stdout.strip() != name:
        pytest.skip(f"{folder} is no {name} here")
    monkeypatch.setattr(disk, "_PASSING", frozenset({name}))
    assert (doubt(Path(folder) / "relay.db", mounted()) or "").startswith(f"{name} goes with this machine")


def test_a_mount_whose_name_is_no_text_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = tmp_path / "mountinfo"
    listed.write_bytes(b"1 0 0:1 / /mnt/\xff rw - ext4 /dev/vda rw\n2 1 0:2 / /srv rw - nfs4 server:/x rw\n")
    monkeypatch.setattr(disk, "MOUNTS", listed)
    assert (doubt(Path("/srv/relay.db"), mounted()) or "").startswith("nfs4 is a network file system")


def test_where_the_kernel_has_no_such_list_it_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "MOUNTS", tmp_path / "none")
    assert mounted() == ""
