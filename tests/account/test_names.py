"""Names -> ids: what is found, what is refused, and what is remembered of a rename."""

from dataclasses import replace
from datetime import timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.model.event_names import EventNames, as_line
from relay.model.names import (
    Ambiguous,
    Answer,
    Catalog,
    Pipeline,
    Resolved,
    Stage,
    Unknown,
    User,
    find_custom_field,
    find_pipeline,
    find_stage,
    find_user,
    stage_texts,
)
from relay.model.names_json import NamesUnreadable, from_json, to_json
from relay.model.names_memory import remembering, same_names
from tests.account.example_catalog import CATALOG, CONTRACT, DONE, OFFER, SALES, SERVICE, closed

STAGE = f"{OFFER}"


def texts(answer: Answer) -> set[str]:
    assert isinstance(answer, Resolved), answer
    return set(answer.texts)


def remark(answer: Answer) -> str:
    assert isinstance(answer, Resolved), answer
    return answer.remark


# ---- what is found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Продажи/Оффер", {STAGE}),
        (" Продажи/Оффер  ", {STAGE}),
        ("Сервис/Сделано/сдано", {f"{DONE}"}),
        ("Сделано/сдано", {f"{DONE}"}),
        ("Оффер", {STAGE}),  # the other one is in an archived pipeline
        ("won", {"142"}),
        ("lost", {"143"}),
        ("Продажи/Успешно реализовано", {f"{SALES}/142"}),
        ("Готово", {f"{SERVICE}/142"}),
        ("Закрыто и не реализовано", {f"{SALES}/143", f"{SERVICE}/143"}),
    ],
)
def test_a_stage_is_found_by_its_name(name: str, expected: set[str]) -> None:
    assert texts(find_stage(CATALOG, name)) == expected


def test_a_closed_stage_of_one_pipeline_is_no_other_pipelines() -> None:
    wanted = texts(find_stage(CATALOG, "Продажи/Успешно реализовано"))
    assert wanted.isdisjoint(stage_texts(SERVICE, 142))
    assert not wanted.isdisjoint(stage_texts(SALES, 142))
    assert not texts(find_stage(CATALOG, "won")).isdisjoint(stage_texts(SERVICE, 142))


def test_a_stage_alone_that_two_pipelines_have_is_ambiguous() -> None:
    assert find_stage(CATALOG, "Договор") == Ambiguous(
        candidates=(f"Продажи/Договор ({CONTRACT})", "Сервис/Договор (16203341)")
    )


def test_an_unknown_stage_comes_with_the_stages_that_there_are() -> None:
    answer = find_stage(CATALOG, "Продажи/Офер")
    assert isinstance(answer, Unknown)
    assert answer.known[:2] == ("Продажи/Оффер", "Продажи/Договор")
    assert not [name for name in answer.known if name.startswith("Архив")]


def test_a_letter_in_two_ways_of_writing_is_one_letter() -> None:
    composed, decomposed = "Почтовый \u0439ак", "Почтовый \u0438\u0306ак"
    catalog = replace(CATALOG, pipelines=(Pipeline(id=1, name=composed),))
    assert texts(find_pipeline(catalog, decomposed)) == {"1"}


def test_users_of_one_name_are_told_apart_by_their_address() -> None:
    assert find_user(CATALOG, "Иван Иванов") == Ambiguous(
        candidates=("ivan@example.com (502)", "ivan.ivanov@example.com (503)")
    )
    assert texts(find_user(CATALOG, "ivan@example.com")) == {"502"}
    assert texts(find_user(CATALOG, "Ольга Петрова")) == {"501"}


def test_a_custom_field_of_several_entities_is_all_of_them() -> None:
    assert texts(find_custom_field(CATALOG, "PHONE")) == {"701", "702"}
    assert texts(find_custom_field(CATALOG, "Телефон")) == {"701", "702"}
    assert texts(find_custom_field(CATALOG, "703")) == {"703"}


def test_two_custom_fields_of_one_entity_with_one_name_are_ambiguous() -> None:
    assert find_custom_field(CATALOG, "Город") == Ambiguous(candidates=("Город (704)", "Город (705)"))
    assert isinstance(find_custom_field(CATALOG, "Страна"), Unknown)


# ---- what changes in amoCRM


def renamed(catalog: Catalog, **names: str) -> Catalog:
    """With stage OFFER called `stage`, pipeline SALES called `pipeline`, as amoCRM answers after that."""

    def stage(each: Stage) -> Stage:
        return replace(each, name=names.get("stage", each.name)) if each.id == OFFER else each

    pipelines = tuple(
        replace(each, name=names.get("pipeline", each.name), stages=tuple(map(stage, each.stages)))
        if each.id == SALES
        else each
        for each in catalog.pipelines
    )
    return replace(catalog, pipelines=pipelines, as_of=catalog.as_of + timedelta(hours=1))


@pytest.mark.parametrize(
    ("names", "now"),
    [
        ({"stage": "Предложение"}, "Продажи/Предложение"),
        ({"pipeline": "Sales"}, "Sales/Оффер"),
        ({"stage": "Offer", "pipeline": "Sales"}, "Sales/Offer"),
    ],
)
def test_a_former_name_is_found_with_a_remark(names: dict[str, str], now: str) -> None:
    after = remembering(CATALOG, renamed(CATALOG, **names))
    answer = find_stage(after, "Продажи/Оффер")
    assert texts(answer) == {STAGE}
    assert remark(answer) == f"was renamed in amoCRM: write {now}"
    assert texts(find_stage(after, now)) == {STAGE}
    assert remark(find_stage(after, now)) == ""


def test_a_former_name_is_remembered_over_several_renames_and_restarts() -> None:
    catalog = CATALOG
    for name in ("Два", "Три", "Оффер", "Четыре"):
        catalog = from_json(orjson.loads(orjson.dumps(to_json(remembering(catalog, renamed(CATALOG, stage=name))))))
    for name in ("Оффер", "Два", "Три", "Четыре"):
        assert texts(find_stage(catalog, f"Продажи/{name}")) == {STAGE}
    assert catalog.pipelines[0].stages[0].former == ("Оффер", "Три", "Два")


def test_a_former_name_that_another_stage_has_now_is_that_one_with_a_remark() -> None:
    swapped = renamed(CATALOG, stage="Договор")
    sales = swapped.pipelines[0]
    stages = tuple(replace(each, name="Оффер") if each.id == CONTRACT else each for each in sales.stages)
    after = remembering(CATALOG, replace(swapped, pipelines=(replace(sales, stages=stages), *swapped.pipelines[1:])))
    answer = find_stage(after, "Продажи/Оффер")
    assert texts(answer) == {f"{CONTRACT}"}
    assert remark(answer) == f"Продажи/Договор ({OFFER}) was called so before"


def test_what_amocrm_has_no_more_is_still_known_and_said_to_be_gone() -> None:
    after = remembering(CATALOG, replace(CATALOG, pipelines=CATALOG.pipelines[1:], users=()))
    answer = find_stage(after, "Продажи/Оффер")
    assert texts(answer) == {STAGE}
    assert "does not have it any more" in remark(answer)
    assert "does not have it any more" in remark(find_user(after, "olga@example.com"))


def test_a_new_stage_takes_the_name_of_one_that_is_gone() -> None:
    sales = CATALOG.pipelines[0]
    new = replace(sales, stages=(Stage(id=9, name="Оффер"), *sales.stages[1:]))
    after = remembering(CATALOG, replace(CATALOG, pipelines=(new, *CATALOG.pipelines[1:])))
    assert texts(find_stage(after, "Продажи/Оффер")) == {"9"}


def test_the_names_of_another_host_are_forgotten() -> None:
    other = replace(CATALOG, host="other.amocrm.ru", users=())
    assert remembering(CATALOG, other) == other


def test_the_time_of_a_look_is_no_change() -> None:
    assert same_names(CATALOG, replace(CATALOG, as_of=CATALOG.as_of + timedelta(days=1)))
    assert not same_names(CATALOG, renamed(CATALOG, stage="Два"))
    assert not same_names(None, CATALOG)


NAMES = st.sampled_from(["А", "Б", "В", "А/Б"])


@given(st.lists(st.tuples(NAMES, NAMES, NAMES, NAMES), min_size=1, max_size=6))
def test_no_rename_makes_an_id_lose_a_name_that_no_other_has(history: list[tuple[str, str, str, str]]) -> None:
    """Whatever is renamed, every name that was ever seen is found, or ambiguous; never unknown."""
    catalog: Catalog | None = None
    seen = set()
    for first, second, one, two in history:
        now = replace(
            CATALOG,
            pipelines=(
                Pipeline(id=1, name=first, stages=(Stage(id=11, name=one), *closed())),
                Pipeline(id=2, name=second, stages=(Stage(id=21, name=two),)),
            ),
        )
        catalog = remembering(catalog, now)
        seen |= {f"{first}/{one}", f"{second}/{two}"}
        assert not any(isinstance(find_stage(catalog, name), Unknown) for name in seen)
        own = find_stage(catalog, f"{first}/{one}")
        assert isinstance(own, Ambiguous) or not {"11", "21"}.isdisjoint(own.texts if isinstance(own, Resolved) else ())


# ---- the file


def test_a_catalog_is_read_back_as_it_was() -> None:
    after = remembering(CATALOG, renamed(CATALOG, stage="Два"))
    assert from_json(orjson.loads(orjson.dumps(to_json(after)))) == after


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([], "it must be an object"),
        ({}, "version must be 1"),
        ({"version": 1, "as_of": "yesterday", "host": "x"}, "as_of must be a time like 2026-11-22T10:53:00Z"),
        ({"version": 1, "as_of": "2026-11-22T10:53:00", "host": "x"}, "as_of must have a time zone, like Z"),
        ({"version": 1, "as_of": "2026-11-22T10:53:00Z"}, "host must be a text"),
        ({"users": {}}, "users must be a list"),
        ({"users": [{"id": "5", "name": "x"}]}, "users[0].id must be a positive number"),
        ({"users": [{"id": True, "name": "x"}]}, "users[0].id must be a positive number"),
        ({"users": [{"id": 5}]}, "users[0].name must be a text"),
        ({"pipelines": [{"id": 5, "name": "x", "stages": [7]}]}, "pipelines[0].stages[0] must be an object"),
        ({"pipelines": [{"id": 5, "name": "x", "gone": 1}]}, "pipelines[0].gone must be true or false"),
        ({"custom_fields": [{"id": 5, "name": "x"}]}, "custom_fields[0].entity must be a text"),
        ({"users": [{"id": 5, "name": "x", "former": "y"}]}, "users[0].former must be a list of texts"),
    ],
)
def test_what_is_no_names_file_is_refused_with_its_place(value: object, text: str) -> None:
    head = {"version": 1, "host": "example.amocrm.ru", "as_of": "2026-11-22T10:53:00Z"}
    whole = head | value if isinstance(value, dict) and value and "version" not in value else value
    with pytest.raises(NamesUnreadable) as refused:
        from_json(whole)
    assert str(refused.value) == text


# ---- the names in an event


EVENT = {
    "source": "crm",
    "data": {
        "id": 1,
        "pipeline_id": SALES,
        "status_id": OFFER,
        "old_status_id": 142,
        "old_pipeline_id": SERVICE,
        "responsible_user_id": 501,
        "modified_user_id": 0,
        "created_user_id": 502,
    },
}


def test_an_event_has_the_names_of_its_ids() -> None:
    assert EventNames({"crm": CATALOG}).of(EVENT) == {
        "pipeline": "Продажи",
        "status": "Оффер",
        "old_pipeline": "Сервис",
        "old_status": "Готово",
        "responsible": "Ольга Петрова",
        "created_by": "Иван Иванов",
    }


def test_a_stage_is_named_without_its_pipeline_unless_every_pipeline_has_it() -> None:
    names = EventNames({"crm": CATALOG})
    assert names.of({"source": "crm", "data": {"status_id": OFFER}}) == {"pipeline": "Продажи", "status": "Оффер"}
    assert names.of({"source": "crm", "data": {"status_id": 142}}) == {}


@pytest.mark.parametrize("event", [{}, {"source": "shop", "data": EVENT["data"]}, {"source": "crm", "data": {}}])
def test_an_event_of_no_account_or_without_ids_has_no_names(event: dict[str, object]) -> None:
    assert EventNames({"crm": CATALOG}).of(event) == {}


def test_equal_names_are_equal_whenever_they_were_read() -> None:
    later = replace(CATALOG, as_of=CATALOG.as_of + timedelta(days=1))
    assert EventNames({"crm": CATALOG}) == EventNames({"crm": later})
    fewer = replace(CATALOG, users=(User(id=501, name="Ольга"),))
    assert EventNames({"crm": CATALOG}) != EventNames({"crm": fewer})


def test_names_are_a_line_for_people() -> None:
    said = as_line(EventNames({"crm": CATALOG}).of(EVENT))
    expected = "old status Сервис/Готово, responsible Ольга Петрова, created by Иван Иванов"
    assert said == f"status Продажи/Оффер, {expected}"
    assert as_line({}) == ""
