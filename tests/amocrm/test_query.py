"""The query of a webhook's address: what the event has of it, which is all that tells some automations apart."""

import json

import pytest

from relay.amocrm import events, form
from relay.amocrm.events import query_values
from tests.amocrm.conftest import ARRIVED, VALIDATOR

TREE = form.decode(b"leads[add][0][id]=7&leads[add][1][id]=8")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("try=24h-1st", {"try": "24h-1st"}),
        ("tag=a&tag=b&step=1&tag=c", {"tag": ["a", "b", "c"], "step": "1"}),
        ("try=&flag", {"try": "", "flag": ""}),
        ("stage=%D0%9E%D1%84%D1%84%D0%B5%D1%80+2", {"stage": "Оффер 2"}),
        ("x=%CE%FF", {"x": "\ufffd\ufffd"}),
        ("next=https://a.example/?b=1", {"next": "https://a.example/?b=1"}),
        ("a[b]=1&a[]=2", {"a[b]": "1", "a[]": "2"}),
        ("price=1_000&id=0012", {"price": "1_000", "id": "0012"}),
        ("a%00b=%00", {"a\ufffdb": "\ufffd"}),
        ("", {}),
        ("&&", {}),
    ],
)
def test_a_query_is_text_by_name_and_a_list_if_the_name_comes_again(query: str, found: object) -> None:
    assert query_values(query) == found


def test_each_event_of_a_webhook_has_the_query_and_one_without_has_no_such_key() -> None:
    for query, expected in (("try=1&try=2", {"try": ["1", "2"]}), ("", None)):
        made = events.read(TREE, source="crm", received_at=ARRIVED, new_id=lambda: "e", query=query)
        sent = [json.loads(events.dump(event)) for event in made]
        assert [each.get("query") for each in sent] == [expected, expected]
        assert [events.load(events.dump(event)) for event in made] == made
        for each in sent:
            VALIDATOR.validate(each)


@pytest.mark.parametrize("wrong", [{}, {"try": 1}, {"try": ["1"]}, {"try": None}, "try=1"])
def test_the_schema_refuses_a_query_that_no_event_has(schema: dict, wrong: object) -> None:
    event = json.loads(json.dumps(schema["examples"][0])) | {"query": wrong}
    assert not VALIDATOR.is_valid(event)
