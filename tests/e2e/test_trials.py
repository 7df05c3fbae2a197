"""The trials of a sabotaged relay: they end at the first that finds it guilty, and an innocent one stays innocent."""

from pathlib import Path

from tests.chaos.scale import SEED
from tests.chaos.trials import TRIALS, found_guilty


async def test_trials_end_at_the_first_that_finds_a_fault(tmp_path: Path) -> None:
    seeds: list[int] = []

    async def the_second_time(_folder: Path, seed: int) -> bool:
        seeds.append(seed)
        return len(seeds) == 2

    assert await found_guilty(tmp_path, the_second_time)
    assert seeds == [SEED, SEED + 1]


async def test_who_shows_no_fault_in_any_trial_is_not_found_guilty(tmp_path: Path) -> None:
    folders: set[Path] = set()

    async def never(folder: Path, _seed: int) -> bool:
        folders.add(folder)
        return False

    assert not await found_guilty(tmp_path, never)
    assert len(folders) == TRIALS
