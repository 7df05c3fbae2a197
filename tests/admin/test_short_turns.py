"""Threads take short turns while operators ask."""

import sys

import pytest

from relay.admin.short_turns import TURN, ShortTurns


def test_turns_are_short_until_the_last_question_is_answered() -> None:
    before, turns = sys.getswitchinterval(), ShortTurns()
    with turns.taken():
        with turns.taken():
            assert sys.getswitchinterval() == pytest.approx(TURN)
        assert sys.getswitchinterval() == pytest.approx(TURN)
    assert sys.getswitchinterval() == before > TURN


def test_a_question_that_fails_ends_them_too() -> None:
    before, turns = sys.getswitchinterval(), ShortTurns()
    with pytest.raises(ValueError, match="odd"), turns.taken():
        raise ValueError("odd")
    assert sys.getswitchinterval() == before
