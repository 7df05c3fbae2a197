import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.amocrm import events
from relay.amocrm.form import decode
from relay.errors import UnreadableError
from relay.model import Event

WORDS = [
    "leads",
    "contacts",
    "add",
    "note",
    "0",
    "1",
    "5",
    "id",
    "ID",
    "7",
    "type",
    "tags",
    "values",
    "value",
    "custom_fields",
    "enum",
    "linked_leads_id",
    "metadata",
    "name",
    "account",
    "event",
    "type_code",
    "data",
    "action",
    "settings",
    "widget",
    "account_id",
    "subdomain",
    "_extra",
    "_conflicts",
    "chat_id",
    "reviews",
]
paths = st.builds(
    lambda head, rest: head + "".join(f"[{part}]" for part in rest),
    st.sampled_from(WORDS),
    st.lists(st.sampled_from([*WORDS, ""]), max_size=5),
)
texts = st.sampled_from(
    [
        "",
        "7",
        "007",
        "company",
        "ж",
        "9007199254740992",
        "9223372036854775808",
        '{"a":[1]}',
        '{"a":1.0}',
        "[",
        "lead_added",
    ]
)
bodies = st.lists(st.builds("{}={}".format, paths, texts), min_size=1, max_size=12).map("&".join)
nodes = st.recursive(
    texts | st.booleans() | st.integers(-9, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=16,
)
moments = st.datetimes(
    min_value=datetime(2, 1, 1),  # noqa: DTZ001  the zone comes below
    max_value=datetime(9998, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-3, minutes=-30))]),
)


def kept(found):
    return [found[0]["account"], *(event["data"] for event in found)]


@given(body=bodies)
def test_every_leaf_of_any_form_is_in_the_events_once(body, events_of, leaf_texts):
    body += "&leads[add][5][id]=1"
    assert leaf_texts(kept(events_of(body))) == leaf_texts(decode(body.encode()))


@given(tree=st.dictionaries(st.sampled_from(WORDS), nodes, max_size=4), item=nodes)
def test_every_leaf_of_any_json_is_in_the_events_once(tree, item, events_of, leaf_texts):
    body = json.dumps({**tree, "leads": {"add": [{"of": item}]}})
    assert leaf_texts(kept(events_of(body))) == leaf_texts(decode(body.encode()))


# ---- what is an event


@pytest.mark.parametrize(
    ("body", "types"),
    [
        ("leads[add][0][id]=1", ["leads.add"]),
        ("leads[add][17][id]=1&leads[add][x][id]=2", ["leads.add", "leads.add"]),
        ("leads[add][id]=1", ["leads.add"]),
        ("leads[add][][id]=1&leads[add][][id]=2", ["leads.add", "leads.add"]),
        ("leads[add][0][id]=1&leads[status][0][id]=2&task[add][0][id]=3", ["leads.add", "leads.status", "task.add"]),
        ("contacts[add][0][type]=company&contacts[add][1][type]=contact", ["companies.add", "contacts.add"]),
        ("contacts[add][0][id]=1", ["contacts.add"]),
        ("leads[add][0][type]=company", ["leads.add"]),
        ("add[0][chat_id]=1", ["message.add"]),
        ("add[0][reviews][0][id]=1", ["chat_template_review.add"]),
        ("add[0][id]=1", ["unknown.add"]),
        ("Leads[ADD][0][id]=1", ["Leads.ADD"]),
        ("rockets[launched][0][id]=1&rockets[add][id]=2", ["rockets.launched", "rockets.add"]),
        ("leads[launched][0][id]=1&leads[add][id]=2", ["leads.launched", "leads.add"]),
        ("launched[0][id]=1&account[id]=2", ["unknown.launched"]),
        ("add[0][talk_id]=1&add[0][type]=incoming", ["message.add"]),
        ("add[0][message_type]=location", ["message.add"]),
        ("add[0][reviews][0][id]=1&add[0][type]=incoming", ["chat_template_review.add"]),
        ("leads[delete]=7", ["leads.delete"]),
        ("leads[delete]=7&contacts[delete]=8&task[add][0][id]=9", ["leads.delete", "contacts.delete", "task.add"]),
    ],
)
def test_the_shape_tells_what_is_an_event(body, types, events_of):
    assert [event["type"] for event in events_of(body)] == types


@pytest.mark.parametrize(
    "body",
    [
        "data[FIELDS][ID]=1",
        "data[0][id]=1&token=x",
        "message[from][id]=1",
        "message[chat][id]=1",
        "message[add]=5",
        "leads[0][id]=1",
        "order[status][id]=1&order[id]=2",
        "order[status][id]=1&order[status_code]=2&order[lines][0][id]=3",
        "rockets[launched][0][id]=1&rockets[crew][name]=x",
        "file[delete]=5",
        "leads[delete]=",
        "leads[delete]=all",
        "leads[status]=5",
    ],
)
def test_words_of_others_make_no_event(body, events_of):
    with pytest.raises(UnreadableError, match="no events: expected entity"):
        events_of(body)


def test_a_deletion_that_says_the_id_alone_has_that_id(events_of):
    [event] = events_of("leads[delete]=7&leads[delete]=8")
    assert event["data"] == {"id": 8, "_conflicts": {"leads[delete]": ["7"]}}
    assert events_of('{"leads": {"delete": 7}}')[0]["data"] == {"id": 7}


def test_null_is_an_empty_list_only_where_a_list_belongs(events_of):
    [event] = events_of(
        '{"leads": {"add": [{"id": 1, "tags": null, "name": null}], "update": null, "x": null}, "y": null}'
    )
    assert event["data"] == {"id": 1, "tags": [], "name": None, "_extra": {"leads": {"x": None}, "y": None}}


def test_telling_what_is_foreign_takes_time_in_proportion(stopwatch):
    def run(words):
        body = "&".join(f"x[w{n}][0][a]=&w{n}[5][a]=" for n in range(words)).encode()
        tree = decode(body)
        return stopwatch(lambda: events.read(tree, source="", received_at=datetime(2026, 1, 1, tzinfo=UTC), new_id=str))

    assert run(4_000) < 10 * run(400) * 4 + 0.25


@pytest.mark.parametrize("body", ['{"body": {"leads[add][0][id]": 1}}', '{"body": "leads[add][0][id]=1"}'])
def test_a_form_in_an_envelope_is_not_unwrapped_but_named(body, events_of):
    with pytest.raises(UnreadableError, match="no events: the form is under `body`"):
        events_of(body)


@pytest.mark.parametrize("inner", ['"x[[=&%5B"', '{"a[": 1}', '{"leads": 5}', "[]", '"{"', '{"rockets": {"up": [{}]}}'])
def test_not_every_body_under_body_is_a_form(inner, events_of):
    with pytest.raises(UnreadableError, match="no events: expected entity"):
        events_of(f'{{"body": {inner}, "n": 1}}')


def test_a_json_body_may_have_lists(events_of):
    found = events_of('{"leads":{"add":[{"id":1,"tags":[]},{"id":"2"}]},"add":[{"chat_id":"c"}],"account":{"id":"5"}}')
    assert [(event["type"], event["data"]) for event in found] == [
        ("leads.add", {"id": 1, "tags": []}),
        ("leads.add", {"id": 2}),
        ("message.add", {"chat_id": "c"}),
    ]
    assert found[0]["account"] == {"id": 5}


def test_numbers_of_a_json_body_that_would_be_rounded_become_text(data_of, events_of):
    [event] = events_of('{"leads":{"add":[{"id":9223372036854775808,"price":10.10,"ok":true,"no":null}]}}')
    assert event["data"] == {"id": "9223372036854775808", "price": "10.10", "ok": True, "no": None}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"account[id]=1&account[subdomain]=x", "no events: expected entity[action][index], got keys: account"),
        (b"foo=bar&leads=5", "no events: expected entity[action][index], got keys: foo, leads"),
        (b"leads[add]=5", "no events: expected entity[action][index], got keys: leads"),
        (b"leads[delete][0]=5", "no events: expected entity[action][index], got keys: leads"),
        (b"\x1b[31m%0A=1", "no events: expected entity[action][index], got keys: \\u001b[31m\\n"),
        (b"{}", "no events: expected entity[action][index], got keys: none"),
        (b"[1]", "a JSON list; expected an object"),
        (b"a" * 100, f"no events: expected entity[action][index], got keys: {'a' * 40}"),
    ],
)
def test_the_reason_says_why_there_are_no_events(body, reason, events_of):
    with pytest.raises(UnreadableError) as error:
        events_of(body)
    assert str(error.value) == reason


def test_json_that_cannot_be_kept_is_refused_by_its_content_type(events_of):
    with pytest.raises(UnreadableError, match="not JSON that can be kept: a key is given twice"):
        events_of('{"a":{"b":{}},"a":1}', content_type="application/json; charset=utf-8")


def test_a_form_is_read_whatever_its_content_type(events_of):
    for content_type in ("", "text/plain", "application/json"):
        assert events_of("leads[add][0][id]=1", content_type=content_type)


# ---- account


@pytest.mark.parametrize("body", ["account[id]=7&{}&account[x]=1", "{}&account[id]=7&account[x]=1"])
def test_the_account_is_found_wherever_it_stands(body, events_of):
    assert events_of(body.format("leads[add][0][id]=1"))[0]["account"] == {"id": 7, "x": "1"}


def test_an_account_that_would_multiply_with_its_events_is_refused(events_of):
    with pytest.raises(UnreadableError, match="an account block of 2063 bytes; at most 2048"):
        events_of("leads[add][0][id]=1&account[subdomain]=" + "x" * 2047)


def test_events_together_stay_in_proportion_to_the_body(events_of):
    body = "&".join(["foo=" + "x" * 100_000, *(f"leads[add][{n}][id]={n}" for n in range(1000)), "account[id]=1"])
    assert len(json.dumps(events_of(body))) < 5 * len(body)


def test_an_account_that_is_no_block_is_extra(events_of):
    [event] = events_of("account=7&leads[add][0][id]=1")
    assert (event["account"], event["data"]["_extra"]) == ({}, {"account": "7"})


# ---- what belongs to no event


def test_strays_are_kept_with_the_first_event(events_of):
    first, second = events_of("foo=bar&leads=5&task[add][0][id]=1&task[add][1][id]=2&task[add][2]=x&talk[add]=3")
    assert first["data"]["_extra"] == {"foo": "bar", "leads": "5", "task": {"add": {"2": "x"}}, "talk": {"add": "3"}}
    assert second["data"] == {"id": 2}


def test_a_conflict_is_kept_with_the_event_it_happened_in(events_of):
    first, second = events_of("leads[add][0][id]=1&leads[add][10][id]=2&leads[add][10][id]=3&foo=1&foo=2")
    assert first["data"] == {"id": 1, "_extra": {"foo": "2"}, "_conflicts": {"foo": ["1"]}}
    assert second["data"] == {"id": 3, "_conflicts": {"leads[add][10][id]": ["2"]}}


def test_a_conflict_is_found_where_fields_stand_without_an_index(events_of):
    first, second = events_of("leads[add][0][id]=1&task[add][id]=2&task[add][id]=3")
    assert first["data"] == {"id": 1}
    assert second["data"] == {"id": 3, "_conflicts": {"task[add][id]": ["2"]}}


def test_a_field_of_that_name_keeps_it(data_of):
    assert data_of("_conflicts=a&x=1&x=2&_extra=b") == {
        "_conflicts": "a",
        "x": "2",
        "_extra": "b",
        "__conflicts": {"leads[add][0][x]": ["1"]},
    }


# ---- notes


def test_the_inner_note_keeps_its_names_and_the_outer_fields_give_way(data_of):
    fields = "type=contact&note[id]=5&note[type]=3&note[text]=hi&_type=odd"
    assert data_of(fields, "contacts[note][0]") == {
        "_type": "contact",
        "id": 5,
        "type": "3",
        "text": "hi",
        "__type": "odd",
    }


def test_only_a_note_is_lifted(data_of):
    assert data_of("note[text]=hi") == {"note": {"text": "hi"}}
    assert data_of("note=hi", "leads[note][0]") == {"note": "hi"}


def test_a_note_on_a_company_is_of_companies_whatever_its_own_type(events_of):
    [event] = events_of("contacts[note][0][note][type]=contact&contacts[note][0][type]=company")
    assert event["type"] == "companies.note"


# ---- widget calls


@pytest.mark.parametrize(
    ("code", "element_type", "event_type"),
    [
        ("lead_appeared_in_status", "2", "leads.status"),
        ("lead_status_changed", "2", "leads.status"),
        ("lead_added", "2", "leads.add"),
        ("mail_in", "2", "leads.mail_in"),
        ("call_in", "2", "leads.call_in"),
        ("site_visit", "2", "leads.site_visit"),
        ("chat", "2", "leads.chat"),
        ("customer_added", "12", "customers.add"),
        ("customer_period_changed", "12", "customers.period_changed"),
        ("customer_x", "", "customers.x"),
        ("lead_added", "", "leads.add"),
        ("lead_sang", "2", "leads.lead_sang"),
        ("chat", "", "unknown.chat"),
        ("chat", "99", "unknown.chat"),
    ],
)
def test_a_widget_call_says_its_event_in_the_usual_words(code, element_type, event_type, events_of):
    [event] = events_of(f"event[type_code]={code}&event[data][element_type]={element_type}")
    assert event["type"] == event_type


def test_what_else_a_widget_call_brings_is_kept(events_of):
    [event] = events_of("event[type_code]=chat&event[data]=odd&event[who]=me&action=later&subdomain=x&foo=bar&leads=1")
    assert event["account"] == {"subdomain": "x"}
    assert event["data"] == {
        "data": "odd",
        "type_code": "chat",
        "who": "me",
        "action": "later",
        "_extra": {"foo": "bar", "leads": "1"},
    }


def test_settings_of_a_widget_that_are_not_in_their_place_stay_where_they_are(events_of):
    [event] = events_of("event[type_code]=chat&action[settings]=")
    assert event["data"] == {"type_code": "chat", "action": {"settings": ""}}


def test_a_widget_call_may_come_with_an_account_block_and_events(events_of):
    first, second = events_of("leads[add][0][id]=1&event[type_code]=chat&account[id]=7&account_id=8&subdomain=x")
    assert (first["type"], second["type"]) == ("unknown.chat", "leads.add")
    assert first["account"] == second["account"] == {"id": 7}
    assert first["data"]["_extra"] == {"account_id": "8", "subdomain": "x"}


def test_event_may_be_an_entity_like_any_other(events_of):
    assert events_of("event[add][0][id]=1")[0]["type"] == "event.add"


# ---- JSON of an event


@given(at=moments)
def test_times_are_what_isoformat_makes_of_them(at):
    event = Event(id="e", source="crm", received_at=at, account={}, entity="leads", action="add", data={})
    time = at.astimezone(UTC).isoformat(timespec="milliseconds")
    assert json.loads(events.dump(event))["timestamp"] == time.removesuffix("+00:00") + "Z"


def test_dumped_times_are_utc_to_the_millisecond():
    moscow = timezone(timedelta(hours=3))
    event = Event(
        id="e",
        source="crm",
        received_at=datetime(2026, 1, 1, 2, 3, 4, 999_999, tzinfo=moscow),
        account={},
        entity="leads",
        action="add",
        data={"name": "Ё"},
    )
    assert (
        events.dump(event)
        == (
            '{"id":"e","type":"leads.add","timestamp":"2025-12-31T23:03:04.999Z","source":"crm","account":{},'
            '"entity":"leads","action":"add","data":{"name":"Ё"}}'
        ).encode()
    )
    assert events.load(events.dump(event)).received_at == datetime(2025, 12, 31, 23, 3, 4, 999_000, tzinfo=UTC)


def test_reading_leaves_the_tree_as_it_is(events_in):
    tree = decode(b"event[type_code]=chat&event[data][id]=1&action[x]=1&account[id]=1&a=1&a=2&x[note][0][note][id]=1")
    before = json.dumps(tree)
    events_in(tree)
    assert json.dumps(tree) == before


def test_lifting_a_note_is_linear(stopwatch):
    def run(fields):
        outer = b"&".join(b"leads[note][0][a%d]=" % number for number in range(fields))
        inner = b"&".join(b"leads[note][0][note][b%d]=" % number for number in range(fields))
        tree = decode(outer + b"&" + inner)
        return stopwatch(lambda: events.read(tree, source="", received_at=datetime(2026, 1, 1, tzinfo=UTC), new_id=str))

    assert run(4_800) < 12 * run(400) * 4
