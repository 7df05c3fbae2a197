"""The warehouse of the demo: refuses the first attempt of each event, and everything while it is down."""

from relay.cli.demo_traffic import DownAtTimes


def test_it_refuses_everything_while_it_is_down_and_what_it_did_before_when_it_is_up_again() -> None:
    warehouse = DownAtTimes(fail_first=1)
    assert [warehouse.answer(nth) for nth in (1, 2, 3)] == [503, 200, 200]
    assert warehouse.switch(down=True) and not warehouse.switch(down=True)
    assert [warehouse.answer(nth) for nth in (1, 2, 3)] == [503, 503, 503]
    assert warehouse.switch(down=False)
    assert [warehouse.answer(nth) for nth in (1, 2, 3)] == [503, 200, 200]
