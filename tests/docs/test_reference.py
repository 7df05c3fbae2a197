"""The parts of pages that `tests.docs.reference` writes are what the program says."""

import pytest

from tests.docs import reference
from tests.docs.reference import GENERATED


@pytest.mark.parametrize(("page", "name"), GENERATED)
def test_a_generated_part_is_what_the_program_says(page: str, name: str) -> None:
    made = GENERATED[page, name]().strip("\n")
    assert reference.part(page, name) == made, "run: .venv/bin/python -m tests.docs.reference"
