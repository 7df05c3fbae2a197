"""`relay.delivery.payload`: what each format makes of an event; form is what amoCRM sent, byte for byte."""

from pathlib import Path

import pytest

from relay.amocrm import form
from relay.delivery.payload import body, original_body
from relay.errors import UnreadableError
from relay.model import Format
from tests.delivery.conftest import PAYLOAD

BODIES = sorted((Path(__file__).parent.parent / "amocrm" / "bodies").glob("*.form"))
SEVERAL = b"leads%5Badd%5D%5B0%5D%5Bid%5D=1&leads%5Badd%5D%5B1%5D%5Bid%5D=2&account%5Bid%5D=9"


def test_json_is_the_payload_byte_for_byte() -> None:
    assert body(PAYLOAD, Format.JSON) == PAYLOAD


@pytest.mark.parametrize("file", BODIES, ids=lambda file: file.stem)
def test_a_form_is_the_webhook_itself_when_the_event_came_alone(file: Path) -> None:
    sent = original_body(file.read_bytes(), "", position=0, of=1)
    assert body(PAYLOAD, Format.FORM, sent) == file.read_bytes()


@pytest.mark.parametrize(("position", "id_"), [(0, b"1"), (1, b"2")])
def test_a_form_of_one_among_several_is_as_if_it_had_come_alone(position: int, id_: bytes) -> None:
    alone = b"leads%5Badd%5D%5B0%5D%5Bid%5D=" + id_ + b"&account%5Bid%5D=9"
    assert original_body(SEVERAL, "", position=position, of=2) == alone


def test_a_json_webhook_becomes_the_form_it_would_have_been() -> None:
    sent = original_body(b' {"leads": {"add": [{"id": 1}]}}', "application/json", position=0, of=1)
    assert form.decode(sent) == {"leads": {"add": {"0": {"id": "1"}}}}


def test_several_events_in_an_undeclared_charset_cannot_be_told_apart_any_more() -> None:
    with pytest.raises(UnreadableError):
        original_body(SEVERAL + b"&leads%5Badd%5D%5B1%5D%5Bname%5D=%CF", "", position=0, of=2)


def test_a_form_needs_what_amocrm_sent() -> None:
    with pytest.raises(ValueError, match="what amoCRM sent"):
        body(PAYLOAD, Format.FORM)
