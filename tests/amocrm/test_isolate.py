from pathlib import Path

import pytest

from relay.amocrm import events, form

BODIES = sorted((Path(__file__).parent / "bodies").glob("*.form"))


def isolate(body: bytes, position: int = 0) -> bytes:
    return form.encode(events.isolate(form.decode(body), position))


@pytest.mark.parametrize("path", BODIES, ids=lambda path: path.stem)
def test_a_body_of_one_event_comes_back_byte_for_byte(path: Path, events_of) -> None:
    body = path.read_bytes().rstrip(b"\n")
    if len(events_of(body)) > 1 or form.encode(form.decode(body)) != body:
        return  # several events, or not written the way PHP writes: the tests below
    assert isolate(body) == body


def test_enough_of_the_bodies_are_of_one_event_as_php_writes_it(events_of) -> None:
    bodies = [path.read_bytes().rstrip(b"\n") for path in BODIES]
    assert sum(len(events_of(body)) == 1 and form.encode(form.decode(body)) == body for body in bodies) >= 25


def test_each_of_several_events_stands_alone_at_index_0_with_the_account_where_it_was() -> None:
    body = (
        b"account[id]=9&leads[status][0][id]=1&leads[status][0][price]=&leads[status][3][id]=2&contacts[add][0][id]=5"
    )
    assert [isolate(body, position) for position in range(3)] == [
        b"account%5Bid%5D=9&leads%5Bstatus%5D%5B0%5D%5Bid%5D=1&leads%5Bstatus%5D%5B0%5D%5Bprice%5D=",
        b"account%5Bid%5D=9&leads%5Bstatus%5D%5B0%5D%5Bid%5D=2",
        b"account%5Bid%5D=9&contacts%5Badd%5D%5B0%5D%5Bid%5D=5",
    ]


def test_what_stands_alone_is_read_as_the_event_it_was(events_of) -> None:
    body = b"leads[add][0][id]=1&add[0][chat_id]=c&add[7][reviews][0][id]=3&leads[note][id]=4&account[id]=9"
    together = [event | {"id": ""} for event in events_of(body)]
    assert len(together) == 4
    for position, event in enumerate(together):
        [single] = events_of(isolate(body, position))
        assert single | {"id": ""} == event


def test_a_json_body_stands_alone_as_the_form_it_would_have_been() -> None:
    body = b'{"leads": {"add": [{"id": 1}, {"id": 2, "tags": [{"id": 3}]}]}}'
    assert isolate(body, 1) == b"leads%5Badd%5D%5B0%5D%5Bid%5D=2&leads%5Badd%5D%5B0%5D%5Btags%5D%5B0%5D%5Bid%5D=3"


def test_a_widget_call_is_always_alone() -> None:
    body = b"event%5Btype_code%5D=lead_added&event%5Bdata%5D%5Bid%5D=7&subdomain=x&account_id=9"
    assert isolate(body) == body
