"""Subscriptions of the double, and how it posts: retries, losses, the switch-off."""

import json
from collections.abc import Callable

import pytest

from tests.fakeamo import SETTINGS, FakeAmo, FakeAnswer, VirtualClock
from tests.fakeamo.conftest import items

HERE = "http://127.0.0.1:8080/hooks/crm/token"
MINUTE = 60


def post(amo: FakeAmo, *settings: str, destination: str = HERE) -> FakeAnswer:
    body = json.dumps({"destination": destination, "settings": settings}).encode()
    return amo.request("POST", "/api/v4/webhooks", None, body)


def attempts(amo: FakeAmo, clock: VirtualClock, answer: int | None, minutes: int = 180) -> list[int]:
    """Minutes after the first at which the only webhook was posted, all answered so."""
    found: list[float] = []
    for _ in range(minutes * 60):
        for each in amo.due():
            found.append(clock())
            amo.answered(each, answer)
        clock.advance(1)
    return [round((at - found[0]) / MINUTE) for at in found]


# ---- the endpoints


def test_a_subscription_is_created_with_201_and_its_settings_come_back_as_an_object(amo: FakeAmo) -> None:
    answer = post(amo, "status_lead", "add_lead")
    assert answer.status == 201
    assert answer.json()["settings"] == {"status_lead": 1, "add_lead": 1}
    (listed,) = items(amo, "webhooks")
    assert listed["settings"] == ["status_lead", "add_lead"]
    assert listed["disabled"] is False


def test_kommo_answers_200(new_amo: Callable[..., FakeAmo]) -> None:
    assert post(new_amo(kommo=True), "add_lead").status == 200


def test_the_destination_is_the_key(amo: FakeAmo) -> None:
    post(amo, "add_lead")
    post(amo, "status_lead")
    post(amo, "status_lead", destination=f"{HERE}/")
    found = items(amo, "webhooks")
    assert [(each["destination"], each["settings"]) for each in found] == [
        (HERE, ["status_lead"]),
        (f"{HERE}/", ["status_lead"]),
    ]


def test_the_list_filters_by_the_exact_destination_and_may_be_empty(amo: FakeAmo) -> None:
    post(amo, "add_lead")
    assert len(items(amo, f"webhooks?filter[destination]={HERE}")) == 1
    answer = amo.request("GET", "/api/v4/webhooks?filter[destination]=http://127.0.0.1/other")
    assert (answer.status, answer.json()["_embedded"]["webhooks"]) == (200, [])


@pytest.mark.parametrize("setting", ["message", "incoming_chat_message", "add_unsorted", "delete_talk", "add_mail"])
def test_an_unknown_setting_is_refused_with_its_place(amo: FakeAmo, setting: str) -> None:
    answer = post(amo, "add_lead", setting)
    (error,) = answer.json()["validation-errors"][0]["errors"]
    assert (answer.status, error["code"], error["path"]) == (400, "NotSupportedChoice", "settings.1")
    assert items(amo, "webhooks") == []


def test_there_are_33_settings(amo: FakeAmo) -> None:
    assert len(SETTINGS) == 33
    assert post(amo, *SETTINGS).status == 201


def test_a_hundred_subscriptions_are_the_most(amo: FakeAmo) -> None:
    for number in range(100):
        amo.clock.advance(1)
        assert post(amo, "add_lead", destination=f"{HERE}/{number}").status == 201
    amo.clock.advance(1)
    assert post(amo, "add_lead").status == 400


def test_a_destination_whose_host_has_no_address_is_refused(amo: FakeAmo) -> None:
    amo.webhooks.unresolvable.add("fresh.example")
    assert post(amo, "add_lead", destination="https://fresh.example/h").status == 400
    amo.webhooks.unresolvable.clear()
    assert post(amo, "add_lead", destination="https://fresh.example/h").status == 201


def test_delete_takes_the_destination_in_its_body(amo: FakeAmo) -> None:
    post(amo, "add_lead")
    body = json.dumps({"destination": HERE}).encode()
    assert amo.request("DELETE", "/api/v4/webhooks", None, body).status == 204
    assert amo.request("DELETE", "/api/v4/webhooks", None, body).status == 404
    assert items(amo, "webhooks") == []


def test_only_administrators_see_webhooks(amo: FakeAmo) -> None:
    token = amo.tokens.long_lived(user=amo.structure.users[1]["id"])
    headers = {"Authorization": f"Bearer {token}"}
    assert amo.request("GET", "/api/v4/webhooks", headers).status == 403
    assert amo.request("GET", "/api/v4/account", headers).status == 200


@pytest.mark.parametrize("enables", [True, False])
def test_whether_a_post_enables_is_a_quirk(new_amo: Callable[..., FakeAmo], enables: bool) -> None:
    amo = new_amo(post_enables=enables)
    post(amo, "add_lead")
    amo.switch_off(HERE)
    assert items(amo, "webhooks")[0]["disabled"] is True
    post(amo, "add_lead")
    assert items(amo, "webhooks")[0]["disabled"] is not enables


# ---- retries


@pytest.mark.parametrize(
    ("answer", "minutes"),
    [
        (200, [0]),
        (100, [0]),
        (299, [0]),
        (500, [0, 5, 20, 35, 95]),
        (503, [0, 5, 20, 35, 95]),
        (499, [0, 5, 20, 35, 95]),
        (404, [0, 5, 20]),
        (301, [0, 5, 20]),
        (None, [0, 5, 20]),
    ],
)
def test_retries_depend_on_the_answer(
    amo: FakeAmo, clock: VirtualClock, answer: int | None, minutes: list[int]
) -> None:
    amo.subscribe(HERE, ["add_lead"])
    amo.add_lead()
    assert attempts(amo, clock, answer) == minutes
    assert amo.posts.all[0].state == ("ok" if answer in (100, 200, 299) else "lost")


def test_a_trigger_of_the_digital_pipeline_posts_once_and_that_of_kommo_within_the_hour(
    new_amo: Callable[..., FakeAmo], clock: VirtualClock
) -> None:
    for kommo, most in ((False, 1), (True, 5)):
        amo = new_amo(kommo=kommo)
        amo.add_trigger(amo.structure.stage("Первичный контакт").id, HERE)
        amo.add_lead()
        found = attempts(amo, clock, 503)
        assert len(found) == most
        assert found[-1] <= 60


def test_a_retry_keeps_its_body_and_its_request_id_or_not(new_amo: Callable[..., FakeAmo], clock: VirtualClock) -> None:
    for keeps in (True, False):
        amo = new_amo(repeats_keep_request_id=keeps)
        amo.subscribe(HERE, ["add_lead"])
        amo.add_lead()
        clock.advance(1)
        (first,) = amo.due()
        body, request_id = first.body, first.headers["X-Amocrm-Requestid"]
        amo.answered(first, 503)
        clock.advance(5 * MINUTE)
        (again,) = amo.due()
        assert again.body == body
        assert (again.headers["X-Amocrm-Requestid"] == request_id) is keeps


def test_a_webhook_that_was_answered_well_may_come_again(new_amo: Callable[..., FakeAmo], clock: VirtualClock) -> None:
    amo = new_amo(duplicates=1.0)
    amo.subscribe(HERE, ["add_lead"])
    amo.add_lead()
    assert len(attempts(amo, clock, 200)) == 2


def test_a_webhook_that_amocrm_loses_is_in_the_oracle_all_the_same(new_amo: Callable[..., FakeAmo]) -> None:
    amo = new_amo(lost=1.0)
    amo.subscribe(HERE, ["add_lead"])
    amo.add_lead()
    amo.clock.advance(5)
    assert amo.due() == []
    assert len(amo.rows()) == 1


# ---- the switch-off


def bad(amo: FakeAmo, clock: VirtualClock, times: int, answer: int = 404) -> None:
    for _ in range(times):
        amo.add_lead()
        clock.advance(1)
        for each in amo.due():
            amo.answered(each, answer)


def test_more_than_100_bad_answers_in_two_hours_switch_a_webhook_off(amo: FakeAmo, clock: VirtualClock) -> None:
    found = amo.subscribe(HERE, ["add_lead"])
    other = amo.subscribe(f"{HERE}2", ["delete_lead"])
    bad(amo, clock, 100)
    assert not found.disabled
    bad(amo, clock, 1)
    assert (found.disabled, found.switched_off_by) == (True, "amocrm")
    assert not other.disabled


def test_bad_answers_of_more_than_two_hours_are_forgotten(amo: FakeAmo, clock: VirtualClock) -> None:
    found = amo.subscribe(HERE, ["add_lead"])
    bad(amo, clock, 60)
    clock.advance(2 * 60 * MINUTE)
    for each in amo.due():
        amo.answered(each, 200)
    bad(amo, clock, 60)
    assert not found.disabled


def test_what_happens_while_it_is_off_is_in_the_oracle_and_never_posted(amo: FakeAmo, clock: VirtualClock) -> None:
    amo.subscribe(HERE, ["add_lead"])
    amo.add_lead()
    amo.switch_off(HERE)
    amo.add_lead()
    clock.advance(5)
    assert amo.due() == []
    assert [row.was_active for row in amo.rows()] == [True, False]
    assert len(amo.posts.all) == 1
    amo.switch_on(HERE)
    amo.add_lead()
    clock.advance(5)
    assert len(amo.due()) == 1


def test_kommo_pauses_a_trigger_for_five_minutes_after_100_bad_answers(
    new_amo: Callable[..., FakeAmo], clock: VirtualClock
) -> None:
    amo = new_amo(kommo=True)
    trigger = amo.add_trigger(amo.structure.stage("Первичный контакт").id, HERE)
    bad(amo, clock, 101)
    assert trigger.paused_until == pytest.approx(clock() + 5 * MINUTE, abs=1)
    amo.add_lead()
    clock.advance(2)
    assert amo.due() == []
    clock.advance(5 * MINUTE)
    assert amo.due() != []
