"""`tests.e2e.processes`: what it reads in the log of a relay that was killed."""

from pathlib import Path

from tests.e2e.processes import RelayProcess

CUT_OFF = '{"time":"2026-11-29T21:49:30.302Z","level":'
READY = '{"time":"2026-11-29T21:49:31.219Z","level":"info","message":"ready","detail":"{\\"time\\":1}"}\n'


def test_a_line_that_a_kill_cut_off_hides_none_of_the_next_process(tmp_path: Path) -> None:
    relay = RelayProcess(tmp_path, "version: 1")
    relay.log.write_text(READY + CUT_OFF + READY + CUT_OFF)
    assert len(relay.lines("ready")) == 2
    assert relay.faults() == []
