"""`relay.delivery.body`: format form is amoCRM's own encoding, so reading it again gives the same event."""

from pathlib import Path

import orjson
import pytest

from relay.amocrm import events, form
from relay.delivery.body import body
from relay.model import Format
from tests.delivery.conftest import NOON, PAYLOAD

GOLDEN = sorted((Path(__file__).parent.parent / "amocrm" / "bodies").glob("*.json"))
SAME = ("account", "entity", "action", "data")


def as_form(event: dict[str, object]) -> str:
    content_type, content = body(orjson.dumps(event), Format.FORM)
    assert content_type == "application/x-www-form-urlencoded"
    return content.decode()


def test_a_lead_is_written_as_amocrm_writes_it() -> None:
    assert as_form(orjson.loads(PAYLOAD)) == (
        "account%5Bid%5D=30550077&account%5Bsubdomain%5D=northwind"
        "&leads%5Bstatus%5D%5B0%5D%5Bid%5D=510073&leads%5Bstatus%5D%5B0%5D%5Bstatus_id%5D=41000001"
        "&leads%5Bstatus%5D%5B0%5D%5Bpipeline_id%5D=4100"
        "&leads%5Bstatus%5D%5B0%5D%5Bname%5D=%D0%9E%D0%BA%D0%BD%D0%B0+%26+%D0%B4%D0%B2%D0%B5%D1%80%D0%B8"
    )


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_an_event_read_again_from_its_form_is_the_same(file: Path) -> None:
    for event in orjson.loads(file.read_bytes()):
        tree = form.decode(as_form(event).encode(), "application/x-www-form-urlencoded")
        [again] = events.read(tree, source="crm", received_at=NOON, new_id=lambda: "e")
        dumped = orjson.loads(events.dump(again))
        event["data"].pop("_conflicts", None)
        assert {name: dumped[name] for name in SAME} == {name: event[name] for name in SAME}


def test_there_are_golden_events_to_read_again() -> None:
    assert len(GOLDEN) > 20
