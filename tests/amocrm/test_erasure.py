"""What of a body and its events belongs to a person, and what is left without it."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.amocrm import events, form
from relay.amocrm.erased_body import erased_body
from relay.amocrm.erasure import erased, erased_cards, extent
from relay.amocrm.traces import Finder, Trace, traces_of
from relay.model import Event
from relay.model.erasure import Extent, Ref

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
BODIES = sorted((Path(__file__).parent / "bodies").glob("*.form"))
PERSON = Ref("contacts", "777")
CANARY = "Zaphod Beeblebrox"
ID = r"[\w-]{1,64}"


def read(body: bytes, content_type: str = "") -> list[Event]:
    ids = (f"e{number}" for number in count(1))
    tree = form.decode(body, content_type)
    return events.read(tree, source="crm", received_at=NOW, new_id=lambda: next(ids))


def cut(body: bytes, *refs: Ref, content_type: str = "") -> tuple[list[Extent], bytes]:
    extents = [extent(each, refs) for each in read(body, content_type)]
    return extents, erased_body(body, content_type, extents, refs)


def encode(**tree: object) -> bytes:
    return form.encode(tree)


def check(old: Event, new: Event, how: Extent, ref: Ref) -> None:
    """Compare an event with what its body is read as afterwards: of a whole one the body keeps a few more ids."""
    kept = values(replace(old, data=erased(old, [ref], how).data))
    if how is Extent.WHOLE:
        assert kept <= values(new)
        assert all(re.fullmatch(ID, each) for each in values(new))
    else:
        assert values(new) == kept


def values(event: Event) -> set[str]:
    return {text for _path, text in form.flatten(event.data)}


# ---- an event


@pytest.mark.parametrize(
    ("body", "how"),
    [
        (b"contacts[add][0][id]=777&contacts[add][0][name]=Z", Extent.WHOLE),
        (b"contacts[add][0][id]=7770", Extent.NONE),
        (b"leads[add][0][id]=777", Extent.NONE),
        (b"contacts[add][0][id]=777&contacts[add][0][type]=company", Extent.NONE),
        (b"contacts[note][0][note][element_id]=777&contacts[note][0][note][text]=Z", Extent.WHOLE),
        (b"message[add][0][id]=m&message[add][0][chat_id]=c&message[add][0][contact_id]=777", Extent.WHOLE),
        (b"talk[add][0][talk_id]=1&talk[add][0][contact_id]=777", Extent.WHOLE),
        (b"talk[add][0][talk_id]=1&talk[add][0][entity_type]=contact&talk[add][0][entity_id]=777", Extent.WHOLE),
        (b"talk[add][0][talk_id]=1&talk[add][0][entity_type]=lead&talk[add][0][entity_id]=777", Extent.NONE),
        (b"task[add][0][id]=1&task[add][0][element_type]=1&task[add][0][element_id]=777", Extent.WHOLE),
        (b"task[add][0][id]=1&task[add][0][element_type]=2&task[add][0][element_id]=777", Extent.NONE),
        (b"unsorted[delete][0][uid]=u&unsorted[delete][0][accept_result][contacts][0]=777", Extent.WHOLE),
        (b"leads[add][0][id]=5&leads[add][0][main_contact_id]=777", Extent.PART),
        (b"leads[add][0][id]=5&leads[add][0][contacts][0][id]=777&leads[add][0][contacts][0][name]=Z", Extent.PART),
        (b"leads[add][0][id]=5&leads[add][0][price]=777", Extent.NONE),
    ],
)
def test_an_event_belongs_to_whom_it_is_about_or_hangs_on(body: bytes, how: Extent) -> None:
    assert [extent(each, [PERSON]) for each in read(body)] == [how]


def test_a_lead_is_referred_to_by_the_contacts_that_are_linked_to_it() -> None:
    body = (
        b"contacts[add][0][id]=1&contacts[add][0][linked_leads_id][5][ID]=5&contacts[add][0][linked_leads_id][6][ID]=6"
    )
    (event,) = read(body)
    lead = Ref("leads", "5")
    assert extent(event, [lead]) is Extent.PART
    assert erased(event, [lead], Extent.PART).data == {"id": 1, "linked_leads_id": [6]}
    _extents, left = cut(body, lead)
    assert left == b"contacts[add][0][id]=1&contacts[add][0][linked_leads_id][6][ID]=6"


def test_the_name_of_a_company_goes_with_its_id() -> None:
    (event,) = read(
        b"contacts[add][0][id]=1&contacts[add][0][linked_company_id]=3&contacts[add][0][linked_company_name]=Z"
    )
    company = Ref("companies", "3")
    assert erased(event, [company], extent(event, [company])).data == {"id": 1}


def test_of_a_whole_event_the_ids_remain_and_no_query() -> None:
    (event,) = read(b"contacts[add][0][id]=777&contacts[add][0][name]=Z&contacts[add][0][uid]=%2B7+999+1234567")
    assert erased(event, [PERSON], Extent.WHOLE).data == {"id": 777}


# ---- a body


def test_a_body_with_several_entities_loses_only_that_ones_part() -> None:
    body = (
        b"leads[add][0][id]=1&leads[add][0][name]=A%20deal&contacts[add][0][id]=777&contacts[add][0][name]=Zaphod"
        b"&contacts[add][1][id]=778&contacts[add][1][name]=Ford+P&account[id]=9"
    )
    extents, left = cut(body, PERSON)
    assert extents == [Extent.NONE, Extent.WHOLE, Extent.NONE]
    assert left == (
        b"leads[add][0][id]=1&leads[add][0][name]=A%20deal&contacts[add][0][id]=777"
        b"&contacts[add][1][id]=778&contacts[add][1][name]=Ford+P&account[id]=9"
    )


def test_a_json_body_is_cut_as_a_form_is() -> None:
    body = orjson.dumps({"contacts": {"add": [{"id": 777, "name": CANARY}, {"id": 1, "name": "Ford"}]}})
    _extents, left = cut(body, PERSON, content_type="application/json")
    assert [each.data for each in read(left, "application/json")] == [{"id": 777}, {"id": 1, "name": "Ford"}]


def test_a_widgets_call_keeps_what_it_is_about() -> None:
    body = encode(
        event={"type": "1", "type_code": "lead_added", "data": {"id": "5", "element_type": "2", "name": CANARY}},
        action={"settings": {"widget": {"settings": {"to": CANARY}}}},
        account_id="9",
    )
    _extents, left = cut(body, Ref("leads", "5"))
    (event,) = read(left)
    assert (event.type, event.data["id"], event.account) == ("leads.add", 5, {"id": 9})
    assert CANARY.split()[0].encode() not in left


def test_a_body_that_cannot_be_told_apart_is_emptied() -> None:
    assert erased_body(b"\xff\xfe", "", [Extent.WHOLE], [PERSON]) == b""
    assert erased_body(b"contacts[add][0][id]=777", "", [Extent.WHOLE, Extent.WHOLE], [PERSON]) == b""


@pytest.mark.parametrize("path", BODIES, ids=lambda path: path.stem)
def test_every_body_that_amocrm_sends_is_cut_and_read_again(path: Path) -> None:
    body = path.read_bytes().rstrip(b"\n")
    found = read(body)
    for event in found:
        if event.entity_id:
            ref = Ref(event.entity, event.entity_id)
            extents, left = cut(body, ref)
            again = read(left)
            assert Extent.WHOLE in extents
            # an item that names no entity is told by its fields
            assert [each.action for each in again] == [each.action for each in found]
            for before, after, how in zip(found, again, extents, strict=True):
                check(before, after, how, ref)


ITEM = st.fixed_dictionaries(
    {"id": st.sampled_from(["777", "5", "6"])},
    optional={
        "name": st.just(CANARY),
        "contact_id": st.sampled_from(["777", "8"]),
        "text": st.just(CANARY),
        "custom_fields": st.just({"0": {"id": "1", "values": {"0": {"value": CANARY}}}}),
        "note": st.fixed_dictionaries({"element_id": st.just("777"), "text": st.just(CANARY)}),
        "contacts": st.just({"0": {"id": "777", "name": CANARY}, "1": {"id": "3", "name": "Ford"}}),
    },
)
TREE = st.dictionaries(
    st.sampled_from(["contacts", "leads", "message", "talk", "task"]),
    st.dictionaries(
        st.sampled_from(["add", "update", "note"]), st.lists(ITEM, min_size=1, max_size=3), min_size=1, max_size=2
    ),
    min_size=1,
)


@given(TREE)
def test_nothing_of_the_person_is_left_and_nothing_of_others_is_lost(tree: dict) -> None:
    body = form.encode(tree)
    before = read(body)
    extents, left = cut(body, PERSON)
    after = read(left)
    assert [each.type for each in after] == [each.type for each in before]
    for old, new, how in zip(before, after, extents, strict=True):
        check(old, new, how, PERSON)
        assert extent(new, [PERSON]) in (Extent.NONE, Extent.WHOLE)  # no part of it is left
        if how is Extent.NONE:
            assert new.data == old.data


# ---- beside events


def test_an_enrichment_loses_the_card_alone() -> None:
    value = {
        "lead": {"id": 5, "_embedded": {"contacts": [{"id": 777, "is_main": True}, {"id": 3}]}},
        "contacts": [{"id": 777, "name": CANARY}, {"id": 3, "name": "Ford"}],
    }
    assert erased_cards(value, [PERSON]) == {
        "lead": {"id": 5, "_embedded": {"contacts": [{"id": 3}]}},
        "contacts": [{"id": 3, "name": "Ford"}],
    }
    assert erased_cards({"lead": {"id": 5}}, [Ref("leads", "5")]) == {"lead": None}


# ---- traces


def test_phones_mails_and_names_are_found_however_they_are_written() -> None:
    (event,) = read(
        encode(
            contacts={
                "add": [
                    {
                        "id": "777",
                        "name": CANARY,
                        "custom_fields": [
                            {"id": "1", "code": "PHONE", "values": [{"value": "+7 (999) 123-45-67"}]},
                            {"id": "2", "code": "EMAIL", "values": [{"value": "Zaphod@Example.org"}]},
                        ],
                    }
                ]
            }
        )
    )
    found = traces_of(event, [PERSON])
    assert found == {
        Trace("name", "zaphod beeblebrox"),
        Trace("phone", "9991234567"),
        Trace("mail", "zaphod@example.org"),
    }
    finder = Finder(found)
    assert finder.kinds("call 8 999 123 45 67") == {"phone"}
    assert finder.kinds("79991234567") == {"phone"}
    assert finder.kinds("text=Zaphod%20Beeblebrox&mail=zaphod%40example.org") == {"name", "mail"}
    assert finder.kinds('{"who": "\\u005aaphod Beeblebrox"}') == {"name"}
    assert finder.kinds("Ford Prefect, 79991234568") == frozenset()


def test_the_manager_who_writes_is_not_the_person() -> None:
    fields = {"id": "m", "chat_id": "c", "contact_id": "777", "author": {"name": CANARY}}
    (incoming,) = read(encode(message={"add": [{**fields, "type": "incoming"}]}))
    (outgoing,) = read(encode(outgoing_message={"add": [{**fields, "type": "outgoing"}]}))
    assert traces_of(incoming, [PERSON])
    assert not traces_of(outgoing, [PERSON])


def test_the_name_of_a_lead_may_be_anything() -> None:
    (event,) = read(b"leads[add][0][id]=5&leads[add][0][name]=Something+usual")
    assert not traces_of(event, [Ref("leads", "5")])


def test_a_long_text_is_looked_through_in_one_go() -> None:
    (event,) = read(encode(contacts={"add": [{"id": "777", "text": "x" * 200_000 + "@y.org"}]}))
    (found,) = traces_of(event, [PERSON])  # would take minutes, were every start tried to the end
    assert found == Trace("mail", "x" * 64 + "@y.org")
