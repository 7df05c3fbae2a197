import re

import pytest


@pytest.mark.parametrize(
    "name", ["id", "ID", "lead_id", "created_at", "created_by", "price", "enum", "note_type", "complete_before"]
)
def test_known_numbers_become_integers(name, data_of):
    assert data_of(f"x[{name}]=15") == {"x": {name: 15}}


@pytest.mark.parametrize(
    "name", ["status", "is_read", "deleted", "name", "value", "text", "type", "subtype", "idea", "att"]
)
def test_everything_else_stays_text(name, data_of):
    assert data_of(f"x[{name}]=15") == {"x": {name: "15"}}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("9007199254740991", 2**53 - 1),
        ("9007199254740992", "9007199254740992"),
        ("24312345678901235", "24312345678901235"),
        ("9223372036854775808", "9223372036854775808"),
        ("99999999999999999999", "99999999999999999999"),
        ("007", "007"),
        ("00", "00"),
        ("", ""),
        ("-1", "-1"),
        ("%2B1", "+1"),
        ("1.0", "1.0"),
        ("1_0", "1_0"),
        ("%201", " 1"),
        ("²", "²"),
        ("٣", "٣"),
        ("2026-02-02 08:00:00", "2026-02-02 08:00:00"),
    ],
)
def test_only_plain_digits_that_fit_are_a_number(text, number, data_of):
    assert data_of(f"id={text}") == {"id": number}


@pytest.mark.parametrize(
    ("fields", "node"),
    [
        ("x[0]=a&x[1]=b", ["a", "b"]),
        ("x[1]=b&x[0]=a", ["a", "b"]),
        ("x[1]=b", {"1": "b"}),
        ("x[0]=a&x[2]=c", {"0": "a", "2": "c"}),
        ("x[0]=a&x[k]=c", {"0": "a", "k": "c"}),
        ("x[00]=a", {"00": "a"}),
        ("x[0][0]=a&x[0][1]=b", [["a", "b"]]),
        ("x[999999999]=a", {"999999999": "a"}),
    ],
)
def test_indexes_without_gaps_make_a_list(fields, node, data_of):
    assert data_of(fields) == {"x": node}


@pytest.mark.parametrize("name", ["tags", "reviews"])
@pytest.mark.parametrize(
    ("fields", "node"),
    [
        ("{}[7][id]=2&{}[3][id]=1", [{"id": 1}, {"id": 2}]),
        ("{}[10]=b&{}[9]=a", ["a", "b"]),
        ("{}[name]=vip", [{"name": "vip"}]),
        ("{}[name]=vip&{}[0][name]=new", [{"name": "new"}, {"name": "vip"}]),
        ("{}=", [""]),
    ],
)
def test_a_list_by_name_is_a_list_whatever_its_indexes(name, fields, node, data_of):
    assert data_of(fields.replace("{}", name)) == {name: node}


@pytest.mark.parametrize("size", [1, 2, 10, 99, 100, 101, 120])
def test_a_list_in_order_is_what_it_is_in_any_other(size, data_of):
    def pairs(indexes):
        return "&".join(f"tags[{index}][id]={index}" for index in indexes)

    listed = [{"id": index} for index in range(size)]
    assert data_of(pairs(range(size))) == {"tags": listed}
    assert data_of(pairs(reversed(range(size)))) == {"tags": listed}
    assert data_of(pairs([*range(size), size + 1])) == {"tags": [*listed, {"id": size + 1}]}
    assert data_of(f"{pairs(range(size))}&tags[name]=vip") == {"tags": [*listed, {"name": "vip"}]}


@pytest.mark.parametrize(
    ("values", "node"),
    [
        ("values[0][value]=1&values[0][enum]=2&values[0][subtype]=3", [{"value": "1", "enum": 2, "subtype": "3"}]),
        ("values[0]=1770000000", [{"value": "1770000000"}]),
        ("values[value]=да&values[enum]=5", [{"value": "да", "enum": 5}]),
        ("values[0]=1", [{"value": "1"}]),
        ("values=1", [{"value": "1"}]),
        ("values[4][value]=b&values[2][value]=a", [{"value": "a"}, {"value": "b"}]),
        ("values[0][value]=a&values[value]=b", [{"value": "a"}, {"value": "b"}]),
        ("values[0][value][sum]=1&values[0][value][tax_id]=2", [{"value": {"sum": "1", "tax_id": 2}}]),
        ("values[0][0]=x", [{"0": "x"}]),
    ],
)
def test_the_values_of_a_custom_field_have_one_shape(values, node, data_of):
    fields = "&".join(re.sub("^values", "custom_fields[0][values]", pair) for pair in values.split("&"))
    assert data_of(fields) == {"custom_fields": [{"values": node}]}


def test_a_custom_field_without_values_has_none(data_of):
    assert data_of("custom_fields[0][id]=5") == {"custom_fields": [{"id": 5}]}


def test_custom_fields_have_their_shape_wherever_they_are(data_of):
    found = data_of("data[leads][0][custom_fields][9][values][0]=1")
    assert found == {"data": {"leads": [{"custom_fields": [{"values": [{"value": "1"}]}]}]}}


def test_linked_leads_beyond_what_json_readers_keep_stay_text(data_of):
    assert data_of("linked_leads_id[9007199254740992][ID]=9007199254740992") == {
        "linked_leads_id": ["9007199254740992"]
    }


def test_linked_leads_are_a_list_of_ids(data_of):
    assert data_of("linked_leads_id[8][ID]=8&linked_leads_id[7][ID]=7") == {"linked_leads_id": [8, 7]}
    assert data_of("linked_leads_id[0]=8") == {"linked_leads_id": [8]}


@pytest.mark.parametrize(
    ("fields", "node"),
    [
        ("linked_leads_id[8][ID]=9", {"8": {"ID": 9}}),
        ("linked_leads_id[8][ID]=8&linked_leads_id[8][MAIN]=1", {"8": {"ID": 8, "MAIN": "1"}}),
        ("linked_leads_id[8][ID]=8&linked_leads_id[x]=1", {"8": {"ID": 8}, "x": "1"}),
    ],
)
def test_linked_leads_that_say_more_keep_their_shape(fields, node, data_of):
    assert data_of(fields) == {"linked_leads_id": node}


def test_metadata_that_is_json_is_parsed(data_of):
    assert data_of('metadata={"a":[1,"x",null,true]}') == {"metadata": {"a": [1, "x", None, True]}}
    assert data_of("metadata=[]") == {"metadata": []}


@pytest.mark.parametrize(
    "text",
    [
        "5",
        '"x"',
        "null",
        "",
        "{",
        '{"a":1.5}',
        '{"a":9007199254740992}',
        '{"a":9223372036854775808}',
        '{"a":1,"a":2}',
        '{"a":NaN}',
        '["\\ud800"]',
    ],
)
def test_metadata_that_json_readers_would_change_stays_text(text, data_of):
    assert data_of(f"metadata={text}") == {"metadata": text}


def test_the_text_of_a_call_stays_text(data_of):
    assert data_of('note[text]={"a":1}', "leads[note][0]") == {"text": '{"a":1}'}
