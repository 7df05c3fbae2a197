import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.amocrm import form
from relay.amocrm.events import read
from relay.model import Event
from relay.routes.conditions import condition
from relay.routes.config import Config
from relay.routes.match import Matcher, Route
from relay.routes.route_tests import NO_TIME

RoutesFile = Callable[..., Config]
MakeEvent = Callable[..., Event]


def test_every_key_must_hold(routes_file: RoutesFile, event: MakeEvent) -> None:
    matcher = routes_file(
        "routes: [{name: one, match: {entity: leads, action: status, pipeline_id: 5, status_id: won}, to: bot}]"
    ).matcher
    assert matcher.match(event(pipeline_id=5, status_id=142)).routes == ("one",)
    assert matcher.match(event(pipeline_id=6, status_id=142)).routes == ()
    assert matcher.match(event(pipeline_id=5, status_id=143)).routes == ()
    assert matcher.match(event(pipeline_id=5)).routes == ()
    assert matcher.match(event("contacts", pipeline_id=5, status_id=142)).routes == ()
    assert matcher.match(event("leads", "add", pipeline_id=5, status_id=142)).routes == ()


def test_all_routes_that_match_apply_and_a_target_gets_the_event_once(
    routes_file: RoutesFile, event: MakeEvent
) -> None:
    matcher = routes_file("""
routes:
  - {name: leads, match: {entity: leads}, to: bot}
  - {name: nothing, match: {entity: task}, to: erp}
  - {name: everything, match: {}, to: [erp, bot]}
  - {name: rest, otherwise: true, to: erp}
""").matcher
    matches = matcher.match(event())
    assert matches.routes == ("leads", "everything")
    assert matches.targets == {"bot": ("leads", "everything"), "erp": ("everything",)}


def test_otherwise_applies_when_nothing_else_did(routes_file: RoutesFile, event: MakeEvent) -> None:
    matcher = routes_file("""
routes:
  - {name: rest, otherwise: true, to: erp}
  - {name: leads, match: {entity: leads}, to: bot}
  - {name: rest-too, otherwise: true, to: bot}
""").matcher
    assert matcher.match(event()).routes == ("leads",)
    assert matcher.match(event("task")).routes == ("rest", "rest-too")
    assert matcher.match(event("task")).targets == {"erp": ("rest",), "bot": ("rest-too",)}


def test_an_event_that_no_route_takes_goes_nowhere(routes_file: RoutesFile, event: MakeEvent) -> None:
    matches = routes_file("routes: [{name: a, match: {entity: task}, to: bot}]").matcher.match(event())
    assert (matches.routes, matches.targets) == ((), {})


def test_an_account_is_known_by_its_id_and_by_its_subdomain(routes_file: RoutesFile, event: MakeEvent) -> None:
    matcher = routes_file("""
routes:
  - {name: by-id, match: {account: 5}, to: bot}
  - {name: by-name, match: {account: example}, to: bot}
  - {name: other, match: {account: [6, elsewhere]}, to: bot}
""").matcher
    assert matcher.match(event(account={"id": 5, "subdomain": "example"})).routes == ("by-id", "by-name")
    assert matcher.match(event()).routes == ()


def test_tags_and_custom_fields_can_be_asked_for(routes_file: RoutesFile, event: MakeEvent) -> None:
    matcher = routes_file("""
routes:
  - {name: tagged, match: {tags.name: [web, phone]}, to: bot}
  - {name: untagged, match: {tags: {exists: false}}, to: bot}
  - {name: no-spam, match: {tags.name: {not: spam}}, to: bot}
  - {name: campaign, match: {custom_fields.11: spring}, to: bot}
  - {name: enum, match: {custom_fields.11: 101}, to: bot}
""").matcher
    lead = event(
        tags=[{"id": 1, "name": "vip"}, {"id": 2, "name": "web"}],
        custom_fields=[{"id": 11, "values": [{"value": "spring", "enum": "101"}]}],
    )
    assert matcher.match(lead).routes == ("tagged", "no-spam", "campaign", "enum")
    assert matcher.match(event(tags=[{"name": "web"}, {"name": "spam"}])).routes == ("tagged",)
    assert matcher.match(event(tags=[])).routes == ("untagged", "no-spam")


BILL = (
    "account[id]=30110022&catalogs[update][0][id]=347577&catalogs[update][0][catalog_id]=6640"
    "&catalogs[update][0][custom_fields][0][id]=1001&catalogs[update][0][custom_fields][0][name]=Статус"
    "&catalogs[update][0][custom_fields][0][code]=BILL_STATUS"
    "&catalogs[update][0][custom_fields][0][values][0][value]=Оплачен"
    "&catalogs[update][0][custom_fields][0][values][0][enum]=1371080"
)


@pytest.mark.parametrize("field", ["custom_fields.BILL_STATUS", "custom_fields.Статус", "data.custom_fields.1001"])
def test_a_bill_that_is_paid_is_taken_as_paid_by_id_code_or_name(routes_file: RoutesFile, field: str) -> None:
    [paid] = read(form.decode(BILL.encode(), ""), source="crm", received_at=NO_TIME, new_id=lambda: "1")
    matcher = routes_file(f"""
routes:
  - {{name: paid, match: {{{field}: 1371080}}, to: bot}}
  - {{name: paid-too, match: {{{field}: Оплачен}}, to: bot}}
  - {{name: unpaid, match: {{{field}: {{not: 1371080}}}}, to: erp}}
  - {{name: other, match: {{{field}: 1371081}}, to: erp}}
""").matcher
    assert matcher.match(paid).routes == ("paid", "paid-too")


def test_a_key_is_a_path_of_the_event_as_its_targets_receive_it(routes_file: RoutesFile, event: MakeEvent) -> None:
    matcher = routes_file("""
routes:
  - {name: id, match: {account.id: 5}, to: bot}
  - {name: subdomain, match: {account.subdomain: example}, to: bot}
  - {name: not-id, match: {account.id: {not: 5}}, to: bot}
  - {name: status, match: {data.status_id: won}, to: bot}
  - {name: type, match: {type: leads.status}, to: bot}
  - {name: not-type, match: {type: {not: leads.status}}, to: bot}
  - {name: data-type, match: {type: company}, to: bot}
  - {name: not-data-type, match: {type: {not: company}}, to: bot}
  - {name: only-data-type, match: {data.type: {not: leads.status}}, to: bot}
  - {name: tags, match: {tags: vip}, to: bot}
  - {name: tag-id, match: {tags: {not: 77}}, to: bot}
""").matcher
    known = {"id": 5, "subdomain": "example"}
    lead = event(account=known, status_id=142, tags=[{"id": 77, "name": "vip"}])
    assert matcher.match(lead).routes == (
        "id",
        "subdomain",
        "status",
        "type",
        "not-data-type",
        "only-data-type",
        "tags",
    )
    company = event("companies", "add", type="company")
    assert matcher.match(company).routes == ("not-id", "not-type", "data-type", "only-data-type", "tag-id")


# ---- the index against a plain loop

FIELDS = (
    "entity",
    "action",
    "source",
    "n",
    "s.t",
    "data.n",
    "data.s.t",
    "type",
    "account.n",
    "tags",
    "custom_fields.a",
)
texts = st.sampled_from(["", "a", "ab", "1", "2", "10", "-1.5", "a.ab", "a.1"])
numbers = st.sampled_from([-1, 0, 1, 2, 10])
operators = st.fixed_dictionaries(
    {},
    optional={
        "not": texts | st.lists(texts, min_size=1),
        "exists": st.booleans(),
        "gt": numbers,
        "gte": numbers,
        "lt": numbers,
        "lte": numbers,
        "like": st.sampled_from(["*", "a*", "*b", "1*", "?"]),
    },
)
asked = texts | numbers | st.lists(texts, min_size=1) | operators.filter(bool)
matches = st.dictionaries(st.sampled_from(FIELDS), asked, max_size=4) | st.none()
"""The `match` of a route, as in the file; None for an `otherwise` route."""
datas = st.fixed_dictionaries(
    {},
    optional={
        "n": texts | numbers | st.none(),
        "s": st.fixed_dictionaries({"t": texts})
        | st.lists(st.fixed_dictionaries({}, optional={"t": texts}), max_size=3),
        "type": texts,
        "tags": st.lists(st.fixed_dictionaries({"name": texts}, optional={"id": numbers}), max_size=3),
        "custom_fields": st.lists(
            st.fixed_dictionaries(
                {"values": st.lists(st.fixed_dictionaries({"value": texts}, optional={"enum": numbers}), max_size=2)},
                optional={"id": texts, "code": texts, "name": texts},
            ),
            max_size=3,
        ),
    },
)
accounts = st.fixed_dictionaries({}, optional={"n": texts | numbers})
events = st.builds(
    lambda entity, action, data, account: Event(
        id="", source="a", received_at=NO_TIME, account=account, entity=entity, action=action, data=data
    ),
    texts,
    texts,
    datas,
    accounts,
)


def compiled(file: Sequence[Mapping[str, Any] | None]) -> list[Route]:
    return [
        Route(
            name=f"r{position}",
            match={name: condition(name, value, "") for name, value in (match or {}).items()},
            targets=(f"t{position % 3}",),
            otherwise=match is None,
        )
        for position, match in enumerate(file)
    ]


def plainly(file: Sequence[Mapping[str, Any] | None], event: Event) -> list[str]:
    """What DESIGN says, written a second time: one route after the other, one key after the other."""
    taken = [f"r{i}" for i, match in enumerate(file) if match is not None and _all_hold(match, event)]
    return taken or [f"r{i}" for i, match in enumerate(file) if match is None]


def _all_hold(match: Mapping[str, Any], event: Event) -> bool:
    return all(_holds(value, _values(event, name)) for name, value in match.items())


def _values(event: Event, name: str) -> list[str]:
    if name in ("entity", "action", "source"):
        return [getattr(event, name)]
    if name == "type":
        return [f"{event.entity}.{event.action}", *([event.data["type"]] if "type" in event.data else [])]
    if name == "account.n":
        return [str(event.account["n"])] if "n" in event.account else []
    if name == "tags":
        return [str(tag[key]) for tag in event.data.get("tags", []) for key in ("name", "id") if key in tag]
    if name == "custom_fields.a":
        named = [each for each in event.data.get("custom_fields", []) if "a" in {**each, "values": ""}.values()]
        return [
            str(value[key]) for each in named for value in each["values"] for key in ("value", "enum") if key in value
        ]
    if name in ("n", "data.n"):
        return ["" if event.data["n"] is None else str(event.data["n"])] if "n" in event.data else []
    inner = event.data.get("s", [])
    return [item["t"] for item in (inner if isinstance(inner, list) else [inner]) if "t" in item]


def _holds(asked: Any, values: list[str]) -> bool:
    if not isinstance(asked, dict):
        return any(value in _as_texts(asked) for value in values)
    if "exists" in asked and asked["exists"] is not (len(values) > 0):
        return False
    if "not" in asked and any(value in _as_texts(asked["not"]) for value in values):
        return False
    rest = {name: bound for name, bound in asked.items() if name not in ("exists", "not")}
    return not rest or any(all(_one_holds(name, bound, value) for name, bound in rest.items()) for value in values)


def _as_texts(asked: Any) -> list[str]:
    return [str(item) for item in (asked if isinstance(asked, list) else [asked])]


def _one_holds(name: str, bound: Any, value: str) -> bool:
    if name == "like":
        return {
            "*": True,
            "a*": value.startswith("a"),
            "*b": value.endswith("b"),
            "1*": value.startswith("1"),
            "?": value == "?",
        }[bound]
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
        return False
    number = float(value)
    return {"gt": number > bound, "gte": number >= bound, "lt": number < bound, "lte": number <= bound}[name]


@settings(max_examples=500)
@given(st.lists(matches, max_size=12), events)
def test_the_index_finds_what_a_plain_loop_finds(file: list[Mapping[str, Any] | None], event: Event) -> None:
    assert list(Matcher(compiled(file)).match(event).routes) == plainly(file, event)


@given(st.lists(matches, max_size=12).flatmap(lambda file: st.tuples(st.just(file), st.permutations(file))), events)
def test_the_order_of_routes_never_matters(
    files: tuple[list[Mapping[str, Any] | None], list[Mapping[str, Any] | None]], event: Event
) -> None:
    file, shuffled = files
    matched = [str(file[int(name[1:])]) for name in Matcher(compiled(file)).match(event).routes]
    again = [str(shuffled[int(name[1:])]) for name in Matcher(compiled(shuffled)).match(event).routes]
    assert sorted(matched) == sorted(again)


@given(st.lists(matches, max_size=12), events)
def test_targets_are_those_of_the_routes_that_matched(file: list[Mapping[str, Any] | None], event: Event) -> None:
    routes = compiled(file)
    found = Matcher(routes).match(event)
    assert {name for names in found.targets.values() for name in names} == set(found.routes)
    assert all(target in routes[int(name[1:])].targets for target, names in found.targets.items() for name in names)


@pytest.mark.parametrize(
    ("asked", "data"),
    [
        ("status_id", {"status_id": 4567}),
        ("data.status_id", {"status_id": 4567}),
        ("account.id", {}),
        ("tags", {"tags": [{"name": "4567"}]}),
        ("custom_fields.A", {"custom_fields": [{"code": "A", "values": [{"value": "4567"}]}]}),
    ],
)
def test_ten_thousand_routes_are_not_asked_one_by_one(
    event: MakeEvent, monkeypatch: pytest.MonkeyPatch, asked: str, data: dict[str, Any]
) -> None:
    class Counted(dict[str, Any]):
        asked = 0

        def get(self, key: str, default: Any = None) -> Any:
            self.asked += 1
            return super().get(key, default)

    file = [{"entity": "leads", "pipeline_id": n % 10, asked: n} for n in range(10_000)]
    matcher, counted = Matcher(compiled(file)), []
    for index in matcher.fields.values():
        counted.append(Counted(index._equals))
        monkeypatch.setattr(index, "_equals", counted[-1])
    assert matcher.match(event(pipeline_id=7, account={"id": 4567}, **data)).routes == ("r4567",)
    assert [each.asked for each in counted] == [1, 1, 1]


# ---- what could not be read


def test_a_route_for_what_could_not_be_read_takes_no_event_and_otherwise_takes_nothing_else(
    routes_file: RoutesFile, event: MakeEvent
) -> None:
    matcher = routes_file("""
routes:
  - {name: leads, match: {entity: leads}, to: bot}
  - {name: raw, unparsed: true, to: erp}
  - {name: raw-of-crm, unparsed: true, match: {source: crm}, to: [bot, erp]}
  - {name: raw-of-shops, unparsed: true, match: {source: {like: "shop*"}}, to: bot}
  - {name: rest, otherwise: true, to: bot}
""").matcher
    assert matcher.match(event()).routes == ("leads",)
    assert matcher.match(event("task")).routes == ("rest",)
    crm, shop, other = (matcher.match_unparsed(source) for source in ("crm", "shop-2", "chats"))
    assert crm.targets == {"erp": ("raw", "raw-of-crm"), "bot": ("raw-of-crm",)}
    assert shop.targets == {"erp": ("raw",), "bot": ("raw-of-shops",)}
    assert (other.routes, other.targets) == (("raw",), {"erp": ("raw",)})


def test_without_such_a_route_what_could_not_be_read_goes_nowhere(routes_file: RoutesFile) -> None:
    matcher = routes_file("routes: [{name: all, match: {}, to: bot}, {name: rest, otherwise: true, to: erp}]").matcher
    assert matcher.match_unparsed("crm").targets == {}
