"""The disk under a store: a ballast that is really there, levels that are told once, and a way back from full."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from relay.errors import ConfigurationError
from relay.signals import DiskSpace, DiskSpaceChanged, Signal
from relay.store.records import Disk
from relay.store.sqlite.disk import MEBIBYTE, Space

GIBIBYTE = 1024 * MEBIBYTE
BALLAST = MEBIBYTE


@dataclass
class Scene:
    """A disk of `total` bytes on which others have left `free`, and a store on it."""

    folder: Path
    free: int = 20 * GIBIBYTE
    total: int = 40 * GIBIBYTE
    said: list[DiskSpaceChanged] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ballast = self.folder / "relay.db.ballast"
        self.space = self.opened(BALLAST)

    def opened(self, ballast: int) -> Space:
        return Space(self.folder / "relay.db", ballast=ballast, emit=self.hear, disk=self.disk)

    def hear(self, signal: Signal) -> None:
        assert isinstance(signal, DiskSpaceChanged)
        self.said.append(signal)

    def disk(self, _folder: Path) -> Disk:
        held = self.ballast.stat().st_size if self.ballast.exists() else 0
        return Disk(total=self.total, free=max(self.free - held, 0))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_the_ballast_is_really_on_the_disk_and_its_owners_alone(scene: Scene) -> None:
    scene.space.look()
    seen = scene.ballast.stat()
    assert (seen.st_size, seen.st_mode & 0o777) == (BALLAST, 0o600)
    assert seen.st_blocks * 512 >= BALLAST


def test_where_the_file_system_cannot_allocate_it_is_written(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.posix_fallocate")
    scene.space.look()
    assert scene.ballast.stat().st_blocks * 512 >= BALLAST


def test_it_takes_no_more_than_it_leaves(scene: Scene) -> None:
    scene.free = BALLAST
    scene.space.look()
    assert scene.ballast.stat().st_size == BALLAST // 2


def test_it_is_an_eighth_of_a_small_disk(scene: Scene) -> None:
    scene.free = scene.total = 4 * BALLAST
    scene.space.look()
    assert scene.ballast.stat().st_size == BALLAST // 2


def test_without_one_an_old_one_goes(scene: Scene) -> None:
    scene.space.look()
    scene.opened(0).look()
    assert not scene.ballast.exists()


def test_it_can_be_given_up_once(scene: Scene) -> None:
    scene.space.look()
    assert [scene.space.release(), scene.space.release()] == [True, False]
    assert not scene.ballast.exists()


def test_each_level_is_told_once_however_often_one_looks(scene: Scene) -> None:
    for free in (20 * GIBIBYTE, GIBIBYTE, 4 * MEBIBYTE, GIBIBYTE, 20 * GIBIBYTE):
        scene.free = free
        for _ in range(3):
            scene.space.look()
    levels = [each.level for each in scene.said]
    assert levels == [DiskSpace.SCARCE, DiskSpace.LOW, DiskSpace.SCARCE, DiskSpace.AMPLE]
    assert all(each.free is not None and each.folder == str(scene.folder) for each in scene.said)


def test_a_little_up_and_down_is_not_told(scene: Scene) -> None:
    for free in (2 * GIBIBYTE, 2 * GIBIBYTE + 9 * MEBIBYTE) * 5:
        scene.free = free
        scene.space.look()
    assert len(scene.said) == 1


def test_a_disk_that_was_full_is_so_until_the_ballast_and_as_much_again_is_there(scene: Scene) -> None:
    seen = []
    scene.space.look()
    scene.space.release()
    for free in (0, 4 * MEBIBYTE, 20 * GIBIBYTE):
        scene.free = free
        seen.append(scene.space.look())
    assert seen == [DiskSpace.FULL, DiskSpace.FULL, DiskSpace.AMPLE]
    assert [each.level for each in scene.said] == [DiskSpace.FULL, DiskSpace.AMPLE]


def test_a_start_finds_that_there_is_less_than_a_ballast(scene: Scene) -> None:
    scene.free = MEBIBYTE // 2
    assert scene.space.look() is DiskSpace.FULL


# ---- before a database is opened


def test_with_room_nothing_is_given_up(scene: Scene) -> None:
    scene.space.look()
    scene.space.prepare()
    assert scene.ballast.exists()


def test_without_room_the_ballast_is_given_up(scene: Scene) -> None:
    scene.space.look()
    scene.free = BALLAST
    scene.space.prepare()
    assert not scene.ballast.exists()
    assert scene.space.level is DiskSpace.FULL


def test_if_that_does_not_help_it_says_what_is_needed(scene: Scene) -> None:
    scene.space.look()
    scene.free = 1000
    with pytest.raises(
        ConfigurationError, match=r"full: 1000 bytes are free, and to open the store takes 262144\. Free"
    ):
        scene.space.prepare()
    assert not scene.said


def test_a_missing_folder_is_for_the_store_to_tell(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "nowhere", free=0)
    scene.space.prepare()
    assert scene.said == []
    assert not scene.folder.exists()
