"""`relay.store.disk`: the disks on which a store should not be."""

from pathlib import Path

import pytest

from relay.store.disk import doubt, mounted

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


def test_the_kernel_is_asked() -> None:
    assert " - proc " in mounted()
