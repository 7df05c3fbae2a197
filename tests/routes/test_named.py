"""Conditions by name: what they take by id, over a rename and a start without names."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from relay.errors import RoutesInvalid
from relay.model import Event, Json
from relay.model.names import Catalog, CustomField, Stage
from relay.model.names_json import to_json
from relay.model.names_memory import remembering
from relay.operations.explain import explain_routes
from relay.routes.config import Config, parse
from relay.routes.diagnostics import Unfit
from relay.routes.lint import warnings
from relay.routes.match_text import compile_match
from relay.routes.names_files import cache_file
from relay.routes.route_tests import NO_TIME
from tests.account.example_catalog import CATALOG, CONTRACT, OFFER, SALES, SERVICE

HEAD = """\
version: 1
accounts: {main: {host: example.amocrm.ru, token: "${API_TOKEN}"}}
sources: {crm: {token: "${CRM_TOKEN}", account: main}, other: {token: "${OTHER_TOKEN}"}}
targets: {bot: {url: "https://bot.example/in"}, erp: {url: "https://erp.example/in"}}
"""
ENV = {name: f"canary-{name}-0123456789" for name in ("CRM_TOKEN", "API_TOKEN", "OTHER_TOKEN")}

Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """The text of `routes`, the catalog in the cache -> Config."""

    def loaded(routes: str, catalog: Catalog | None = CATALOG, *, stop_routes: bool = False) -> Config:
        if catalog:
            cache_file(tmp_path, "main").write_text(json.dumps(to_json(catalog)), "utf-8")
        return parse(HEAD + f"routes:\n{routes}", file="routes.yaml", env=ENV, names=tmp_path, stop_routes=stop_routes)

    return loaded


def route(match: str) -> str:
    return f"  - {{name: one, match: {match}, to: bot}}\n"


def lead(action: str = "status", source: str = "crm", **data: Json) -> Event:
    return Event(
        id="1", source=source, received_at=NO_TIME, account={}, entity="leads", action=action, data={"id": 7, **data}
    )


def taken(config: Config, event: Event) -> tuple[str, ...]:
    return config.matcher.match(event).routes


@pytest.mark.parametrize(
    ("match", "data", "matches"),
    [
        ("{stage: Продажи/Оффер}", {"pipeline_id": SALES, "status_id": OFFER}, True),
        ("{stage: Продажи/Оффер}", {"status_id": OFFER}, True),
        ("{stage: Продажи/Оффер}", {"pipeline_id": SALES, "status_id": CONTRACT}, False),
        ("{stage: [Продажи/Договор, Продажи/Оффер]}", {"status_id": OFFER}, True),
        ("{stage: {not: Продажи/Оффер}}", {"status_id": OFFER}, False),
        ("{stage: {not: Продажи/Оффер}}", {"status_id": CONTRACT}, True),
        ("{stage: {exists: true}}", {"status_id": CONTRACT}, True),
        ("{stage: {exists: true}}", {}, False),
        ("{stage: won}", {"pipeline_id": SERVICE, "status_id": 142}, True),
        ("{stage: Сервис/Готово}", {"pipeline_id": SERVICE, "status_id": 142}, True),
        ("{stage: Сервис/Готово}", {"pipeline_id": SALES, "status_id": 142}, False),
        ("{old_stage: Сервис/Готово}", {"old_pipeline_id": SERVICE, "pipeline_id": SALES, "old_status_id": 142}, True),
        ("{old_stage: Сервис/Готово}", {"old_pipeline_id": SALES, "pipeline_id": SERVICE, "old_status_id": 142}, False),
        ("{old_stage: Сервис/Готово}", {"pipeline_id": SERVICE, "old_status_id": 142}, True),
        ("{old_stage: Продажи/Оффер}", {"status_id": OFFER}, False),
        ("{pipeline: Продажи}", {"pipeline_id": SALES}, True),
        ("{pipeline: Продажи}", {"pipeline_id": SERVICE}, False),
        ("{responsible: olga@example.com}", {"responsible_user_id": 501}, True),
        ("{responsible: Ольга Петрова}", {"responsible_user_id": 502}, False),
    ],
)
def test_a_condition_by_name_takes_what_has_the_id(
    load: Load, match: str, data: dict[str, Json], matches: bool
) -> None:
    assert taken(load(route(match)), lead(**data)) == (("one",) if matches else ())


def custom(id_: int, **more: Json) -> Json:
    return {"custom_fields": [{"id": id_, **more, "values": [{"value": "да"}]}]}


@pytest.mark.parametrize("name", ["PHONE", "Телефон", "701", "data.custom_fields.PHONE"])
def test_a_custom_field_is_known_by_its_id_whatever_the_event_calls_it(load: Load, name: str) -> None:
    key = name if "." in name else f"custom_fields.{name}"
    config = load(route(f"{{{key}: да}}"))
    assert taken(config, lead(**custom(701, name="Renamed")))
    assert not taken(config, lead(**custom(703, name="Другое")))


def test_a_custom_field_of_several_entities_is_each_of_them(load: Load) -> None:
    config = load(route("{custom_fields.PHONE: да}"))
    assert taken(config, lead(**custom(701)))
    assert taken(config, lead(**custom(702)))


def test_without_names_a_custom_field_is_known_by_what_the_event_calls_it(load: Load) -> None:
    config = load(route("{custom_fields.Скидка: да}"), None)
    assert taken(config, lead(**custom(9, name="Скидка")))


def test_without_an_account_a_custom_field_is_compared_as_before(load: Load) -> None:
    config = load(route("{source: other, custom_fields.Скидка: да}"))
    assert taken(config, lead(source="other", **custom(9, name="Скидка")))


def changed(**stages: str) -> Catalog:
    """The account after OFFER was renamed to `offer`."""
    sales = CATALOG.pipelines[0]
    named = tuple(replace(each, name=stages["offer"]) if each.id == OFFER else each for each in sales.stages)
    return remembering(CATALOG, replace(CATALOG, pipelines=(replace(sales, stages=named), *CATALOG.pipelines[1:])))


def test_a_rename_is_warned_of_and_the_route_goes_on_by_id(load: Load) -> None:
    config = load(route("{entity: leads, stage: Продажи/Оффер}"), changed(offer="Предложение"))
    assert taken(config, lead(status_id=OFFER))
    said = "the stage 'Продажи/Оффер' was renamed in amoCRM: write Продажи/Предложение"
    assert said in [problem.message for problem in warnings(config)]


def test_a_name_of_today_is_no_warning(load: Load) -> None:
    config = load(route("{entity: leads, stage: Продажи/Предложение}"), changed(offer="Предложение"))
    assert not [problem for problem in warnings(config) if "stage" in problem.message]


def test_what_is_checked_is_shown_as_it_is_written(load: Load) -> None:
    config = load(route("{stage: Продажи/Оффер, custom_fields.BILL_STATUS: paid}"))
    [explained] = explain_routes(config, lead(pipeline_id=SALES, status_id=OFFER, **custom(703)))
    assert [(each.field, each.condition, each.values, each.held) for each in explained.checks] == [
        ("stage", "Продажи/Оффер", (f"{OFFER}", f"{SALES}/{OFFER}"), True),
        ("custom_fields.BILL_STATUS", "paid", ("да",), False),
    ]


def test_the_file_that_an_account_names_does_without_a_cache(tmp_path: Path) -> None:
    (tmp_path / "names.json").write_text(json.dumps(to_json(CATALOG)), "utf-8")
    text = HEAD.replace('token: "${API_TOKEN}"', 'token: "${API_TOKEN}", names: names.json')
    config = parse(f"{text}routes:\n{route('{stage: Продажи/Оффер}')}", file=f"{tmp_path}/routes.yaml", env=ENV)
    assert taken(config, lead(status_id=OFFER))


@pytest.mark.parametrize("newer", ["cache", "file"])
def test_of_cache_and_file_the_newer_one_names_and_the_other_remembers(tmp_path: Path, newer: str) -> None:
    old, new = CATALOG, replace(changed(offer="Предложение"), as_of=CATALOG.as_of.replace(hour=12))
    cached, exported = (new, old) if newer == "cache" else (old, new)
    cache_file(tmp_path, "main").write_text(json.dumps(to_json(cached)), "utf-8")
    (tmp_path / "names.json").write_text(json.dumps(to_json(exported)), "utf-8")
    text = HEAD.replace('token: "${API_TOKEN}"', 'token: "${API_TOKEN}", names: names.json')
    routes = "routes:\n" + route("{stage: [Продажи/Оффер, Продажи/Предложение]}")
    config = parse(text + routes, file=f"{tmp_path}/routes.yaml", env=ENV, names=tmp_path)
    assert taken(config, lead(status_id=OFFER))
    assert config.catalogs["main"].pipelines[0].stages[0] == Stage(id=OFFER, name="Предложение", former=("Оффер",))


@pytest.mark.parametrize(
    ("match", "said"),
    [
        ("{stage: Продажи/Предложенье}", "(did you mean 'Продажи/Оффер', once 'Продажи/Предложение'?)"),
        ("{responsible: Ольга Сидоров}", "(did you mean 'olga@example.com', once 'Ольга Сидорова'?)"),
        ("{custom_fields.Цвет товар: белый}", "(did you mean 'Оттенок', once 'Цвет товара'?)"),
    ],
)
def test_a_name_that_is_nearly_a_former_one_is_told_todays(load: Load, match: str, said: str) -> None:
    sales, *pipelines = CATALOG.pipelines
    first, *stages = sales.stages
    assert (sales.name, first.name) == ("Продажи", "Оффер")
    olga, *users = CATALOG.users
    shade = CustomField(id=799, name="Оттенок", entity="leads", former=("Цвет товара",))
    catalog = replace(
        CATALOG,
        pipelines=(replace(sales, stages=(replace(first, former=("Предложение",)), *stages)), *pipelines),
        users=(replace(olga, former=("Ольга Сидорова",)), *users),
        custom_fields=(*CATALOG.custom_fields, shade),
    )
    with pytest.raises(RoutesInvalid) as refused:
        load(route(match), catalog)
    assert said in str(refused.value)


def test_a_match_outside_the_file_knows_the_names_of_its_accounts(load: Load, tmp_path: Path) -> None:
    config = load(route("{entity: leads}"))
    fits, _ = compile_match("{stage: Продажи/Оффер}", config, tmp_path)
    assert [fits(lead(status_id=each)) for each in (OFFER, CONTRACT)] == [True, False]
    with pytest.raises(Unfit, match=r"^stage: amoCRM has no stage 'Продажи/Офер' \(did you mean 'Продажи/Оффер'\?\)"):
        compile_match("{stage: Продажи/Офер}", config, tmp_path)


# ---- stages of triggers


def healing(stage: str) -> str:
    trigger = f"{{mode: report, dp: [{{stage: {stage}, on: [status]}}]}}"
    return HEAD.replace("account: main}", f"account: main, heal: {trigger}}}")


@pytest.mark.parametrize("stage", ["Продажи/Оффер", f'"{OFFER}"', f"{SALES}/142"])
def test_a_stage_of_a_trigger_is_known(load: Load, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.routes.test_named.HEAD", healing(stage))
    assert load(route("{}")).remarks == ()


def test_a_stage_of_a_trigger_that_is_unknown_is_a_problem_and_at_a_start_a_remark(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.routes.test_named.HEAD", healing("Продажи/Нет"))
    with pytest.raises(RoutesInvalid, match="amoCRM has no stage 'Продажи/Нет'"):
        load(route("{}"))
    [remark] = load(route("{}"), stop_routes=True).remarks
    assert "amoCRM has no stage 'Продажи/Нет'" in remark[1]


def test_by_both_ids_a_stage_of_a_trigger_needs_no_names(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    by_ids, by_name = healing("1/142"), healing("Продажи/Оффер")
    monkeypatch.setattr("tests.routes.test_named.HEAD", by_ids)
    assert load(route("{}"), None).remarks == ()
    monkeypatch.setattr("tests.routes.test_named.HEAD", by_name)
    [remark] = load(route("{}"), None).remarks
    assert remark[1].startswith("'Продажи/Оффер': no names of the account 'main' are known here")


# ---- a start with names that are unknown


STOPPED = """\
  - {name: offer, match: {entity: leads, action: status, stage: Продажи/Нет}, to: bot}
  - {name: calls, match: {entity: leads, action: [call_in, status], pipeline_id: 5}, to: erp}
  - {name: rest, otherwise: true, to: erp}
"""


def test_an_unknown_name_is_a_problem_but_stops_only_its_route_at_a_start(load: Load) -> None:
    with pytest.raises(RoutesInvalid):
        load(STOPPED)
    config = load(STOPPED, stop_routes=True)
    assert [each.name for each in config.routes if each.stopped] == ["offer"]
    assert config.routes[0].stopped.startswith("amoCRM has no stage 'Продажи/Нет' (did you mean 'Продажи/Оффер'?)")
    assert taken(config, lead("call_in", pipeline_id=5)) == ("calls",)
    assert taken(config, lead("status", pipeline_id=5, status_id=6)) == ("calls",)


@pytest.mark.parametrize("catalog", [None, CATALOG])
def test_what_a_stopped_route_may_take_is_left_for_later_and_not_given_to_otherwise(
    load: Load, catalog: Catalog | None
) -> None:
    config = load(STOPPED, catalog, stop_routes=True)
    assert taken(config, lead("status", pipeline_id=6, status_id=OFFER)) == ()
    assert not config.matcher.match(lead("status", pipeline_id=6, status_id=OFFER)).targets


@pytest.mark.parametrize(
    "event",
    [lead("add", status_id=OFFER), lead("status"), replace(lead("status", status_id=OFFER), entity="customers")],
    ids=["another action", "no stage", "another entity"],
)
def test_what_a_stopped_route_cannot_take_goes_to_otherwise(load: Load, event: Event) -> None:
    assert taken(load(STOPPED, stop_routes=True), event) == ("rest",)


def test_a_route_that_excludes_an_unknown_name_may_take_what_has_no_stage(load: Load) -> None:
    routes = STOPPED.replace("stage: Продажи/Нет", "stage: {not: Продажи/Нет}")
    assert taken(load(routes, stop_routes=True), lead("status")) == ()


def test_a_file_that_is_wrong_elsewhere_does_not_start(load: Load) -> None:
    for match in ("{stage: 5}", "{stage: {like: x}}", "{source: other, stage: Продажи/Оффер}"):
        with pytest.raises(RoutesInvalid):
            load(route(match), None if "like" not in match and "other" not in match else CATALOG, stop_routes=False)
    with pytest.raises(RoutesInvalid):
        load(route("{source: other, stage: Продажи/Оффер}"), stop_routes=True)
