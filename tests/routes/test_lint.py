from collections.abc import Callable, Mapping
from typing import Any

import pytest

from relay.amocrm import form, sample_bodies
from relay.amocrm.events import read
from relay.amocrm.vocabulary import FIELDS, OF_FEW, TIMES
from relay.amocrm.vocabulary import IDS as IDS_OF_AMOCRM
from relay.routes.config import Config, parse
from relay.routes.lint import routes as lint_routes
from relay.routes.lint import warnings
from relay.routes.match import Route
from relay.routes.route_tests import NO_TIME, run_tests

RoutesFile = Callable[..., Config]
ADD = "a lead created in the stage arrives as add and does not match: write"
ACCOUNT = "an account is named by its id or subdomain, never"
IDS = "this field holds ids, never"
TEXT = "is compared as text, sign and all: write"
NO_ENTITY = "amoCRM is not known to send the entity"
NO_FIELD = "amoCRM is not known to send the field '{}' (did you mean '{}'?)"
REST = "\n  - {name: rest, otherwise: true, to: [bot, erp]}\n"


def warned(config: Config) -> list[str]:
    return [warning.text("routes.yaml") for warning in warnings(config)]


def test_a_good_file_has_no_warnings(routes_file: RoutesFile) -> None:
    assert warned(routes_file("routes:\n  - {name: leads, match: {entity: leads}, to: bot}" + REST)) == []


def test_secrets_in_the_file_shared_tokens_and_open_http_are_noticed() -> None:
    text = """
version: 1
sources:
  a: {token: [aaaaaaaaaaaaaaaaaaaa, "${TOKEN}"]}
  b: {token: "${TOKEN}"}
targets:
  bot:
    url: http://bot.example/in
    headers: {Authorization: Bearer abc, X-Api-Key: "${KEY}", X-Note: hello, Idempotency-Key: none}
    secret: MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=
  local: {url: "http://127.0.0.1:9000/in"}
  near: {url: "http://localhost:9000/in"}
  six: {url: "http://[::1]:9000/in"}
  spare: {url: "https://spare.example/"}
routes:
  - {name: all, match: {entity: {exists: true}}, to: [bot, local, near, six]}
"""
    advice = "a secret in the file: write ${NAME} and set the variable, or ${file:/run/secrets/name}"
    assert warned(parse(text, file="routes.yaml", env={"TOKEN": "t" * 16, "KEY": "k"})) == [
        f"routes.yaml:4:15  sources.a.token[0]: {advice}",
        "routes.yaml:5:7  sources.b.token: the same token as 'a': give each source its own",
        "routes.yaml:8:5  targets.bot.url: http to another machine can be read on the way: use https",
        f"routes.yaml:9:15  targets.bot.headers.Authorization: {advice}",
        f"routes.yaml:10:5  targets.bot.secret: {advice}",
        "routes.yaml:14:3  targets.spare: no route names it",
    ]


def test_a_secret_in_the_query_of_a_url_is_noticed() -> None:
    text = """
version: 1
sources: {a: {token: "${TOKEN}"}}
targets:
  literal: {url: "https://bot.example/in?page=1&api_key=abc"}
  variable: {url: "https://bot.example/in?token=${TOKEN}"}
  none: {url: "https://bot.example/in?page=1"}
routes:
  - {name: all, match: {entity: {exists: true}}, to: [literal, variable, none]}
"""
    advice = "a secret in the file: write ${NAME} and set the variable, or ${file:/run/secrets/name}"
    assert warned(parse(text, file="routes.yaml", env={"TOKEN": "t" * 16})) == [
        f"routes.yaml:5:13  targets.literal.url: {advice}"
    ]


def test_an_account_that_is_named_by_its_address_is_noticed_for_every_webhook_would_be_refused() -> None:
    text = """
version: 1
sources: {a: {token: "${TOKEN}", accounts: [example.amocrm.ru, 700622, other, "${OWN}"]}}
targets: {bot: {url: "https://bot.example/"}}
routes: [{name: all, match: {entity: {exists: true}}, to: bot}]
"""
    assert warned(parse(text, file="routes.yaml", env={"TOKEN": "t" * 16, "OWN": "canary.amocrm.ru"})) == [
        f"routes.yaml:3:45  sources.a.accounts[0]: {ACCOUNT} 'example.amocrm.ru': write example"
    ]


def test_a_variable_without_braces_is_noticed_where_it_is_text_like_any_other() -> None:
    text = """
version: 1
sources: {a: {token: "${TOKEN}"}}
targets:
  bot:
    url: https://bot.example/$BOT_PATH?$filter=a&price=5$
    headers: {X-Key: Bearer $KEY_NAME, X-Other: $(OTHER), X-Right: "${KEY}", X-Escaped: "$${TOKEN}", X-Cost: $5}
routes:
  - {name: all, match: {entity: {exists: true}, name: $NAME}, to: bot}
  - {name: rest, otherwise: true, to: bot}
"""
    said = "$… is not expanded: a variable is written ${NAME}, with braces"
    assert warned(parse(text, file="routes.yaml", env={"TOKEN": "t" * 16, "KEY": "$CANARY"})) == [
        f"routes.yaml:6:5  targets.bot.url: {said}",
        f"routes.yaml:7:15  targets.bot.headers.X-Key: {said}",
        f"routes.yaml:7:40  targets.bot.headers.X-Other: {said}",
        f"routes.yaml:9:49  routes[0].match.name: {said}",
    ]


QUOTES = "has quotes in it, which are a part of it: docker's --env-file keeps them, so write it without"


@pytest.mark.parametrize(
    ("written", "value", "said"),
    [
        ("${V}", '"canary"', QUOTES),
        ("${V}", "'canary'", QUOTES),
        ("Bearer ${V}", '"canary"', QUOTES),
        ("'\"canary\"'", "", QUOTES),
        ("Bearer ${V}", "\ufeffcanary", "has a byte order mark in it (U+FEFF): save what it comes from without one"),
        ("${V}", "\ufeffcanary", "has a byte order mark in it (U+FEFF): save what it comes from without one"),
        ("${V}", "canary ", "ends with a blank: remove it"),
        ("Bearer ${V}", " canary", "has two blanks in it: remove the one that a variable has at its end"),
        ("${V}", "\tcanary", "begins with a blank: remove it"),
        ("Bearer ${V}", "canary\u00a0", "ends with a blank: remove it"),
        ("${V}", "can\u00a0ary", "is not ASCII, which servers read differently: character 4 is U+00A0 NO-BREAK SPACE"),
        (
            "${V}",
            "“canary”",
            "is not ASCII, which servers read differently: character 1 is U+201C LEFT DOUBLE QUOTATION MARK",
        ),
        ("Bearer ${V}", "cаnary", "is not ASCII, which servers read differently: character 9 is a Cyrillic letter"),
    ],
)
def test_what_a_header_value_carried_along_is_noticed_and_not_shown(
    target_file: RoutesFile, written: str, value: str, said: str
) -> None:
    quoted = written if written.startswith("'") else f'"{written}"'
    lines = warned(target_file(f"headers: {{X-Value: {quoted}}}", V=value or "x"))
    assert [line.partition("  ")[2] for line in lines if ".headers" in line] == [
        f"targets.bot.headers.X-Value: the value {said}"
    ]
    assert "canary" not in str(lines).replace("X-Value", "")


@pytest.mark.parametrize(
    "header",
    [
        'X-Value: "${V}"',
        "X-Value: \"say 'hello'\"",
        'X-Value: "Digest username=\\"${V}\\""',
        'If-None-Match: "\\"${V}\\""',
        "X-Value: 5",
    ],
)
def test_header_values_that_are_well_are_left_alone(target_file: RoutesFile, header: str) -> None:
    assert [line for line in warned(target_file(f"headers: {{{header}}}", V="a-b c.d~e==")) if ".headers" in line] == []


def test_a_window_shorter_than_amocrm_repeats_is_noticed() -> None:
    text = """
version: 1
sources:
  long: {token: "${LONG}", dedupe: 1h}
  brief: {token: "${TOKEN}", dedupe: 59m}
targets:
  bot: {url: "https://bot.example/in"}
routes:
  - {name: all, match: {entity: {exists: true}}, to: bot}
"""
    assert warned(parse(text, file="routes.yaml", env={"LONG": "l" * 16, "TOKEN": "t" * 16})) == [
        "routes.yaml:5:30  sources.brief.dedupe: the digital pipeline repeats a webhook for up to an hour: use 1h"
    ]


def test_a_token_or_key_short_enough_to_be_guessed_is_noticed() -> None:
    text = """
version: 1
sources:
  long: {token: "${LONG}"}
  short: {token: ["${LONG}1", "${TOKEN}"]}
targets:
  bot: {url: "https://bot.example/in", secret: "${KEY}"}
routes:
  - {name: all, match: {entity: {exists: true}}, to: bot}
"""
    lines = warned(parse(text, file="routes.yaml", env={"LONG": "t" * 16, "TOKEN": "t" * 15, "KEY": "c2hvcnQ="}))
    assert lines == [
        "routes.yaml:5:11  sources.short.token: short enough to be guessed: make one with: openssl rand -hex 32",
        "routes.yaml:7:40  targets.bot.secret: under 24 bytes of base64: make one with: openssl rand -base64 32",
    ]


def test_a_secret_that_is_still_a_placeholder_is_noticed() -> None:
    text = """
version: 1
sources:
  crm: {token: "${TOKEN}"}
targets:
  bot: {url: "https://bot.example/in", headers: {Authorization: "Bearer ${KEY}"}}
routes:
  - {name: all, match: {entity: {exists: true}}, to: bot}
"""
    placeholder = "is still 'change-me': put the secret there"
    assert warned(parse(text, file="routes.yaml", env={"TOKEN": "t" * 16, "KEY": "change-me"})) == [
        f"routes.yaml:6:50  targets.bot.headers.Authorization: {placeholder}"
    ]


def test_a_route_for_what_could_not_be_read_is_no_reason_to_warn_and_takes_no_events(routes_file: RoutesFile) -> None:
    raw = """routes:
  - {name: raw, unparsed: true, to: bot}
  - {name: raw-too, unparsed: true, match: {source: crm}, to: bot}"""
    assert warned(routes_file(raw + REST)) == []
    alone = warned(routes_file(raw + "\n  - {name: leads, match: {entity: leads}, to: erp}"))
    assert alone == [
        "routes.yaml:8:1  routes: events that no route matches are not delivered: add a route with otherwise: true"
    ]
    unknown = routes_file("routes:\n  - {name: raw, unparsed: true, match: {source: cmr}, to: bot}" + REST)
    assert warned(unknown) == ["routes.yaml:9:41  routes[0].match.source: no source 'cmr' (did you mean 'crm'?)"]


def test_without_an_otherwise_route_events_may_go_nowhere(routes_file: RoutesFile) -> None:
    config = routes_file("routes:\n  - {name: leads, match: {entity: leads}, to: [bot, erp]}\n")
    assert warned(config) == [
        "routes.yaml:8:1  routes: events that no route matches are not delivered: add a route with otherwise: true"
    ]


@pytest.mark.parametrize("field", ["entity", "type"])
def test_a_route_for_every_event_leaves_nothing_over(routes_file: RoutesFile, field: str) -> None:
    every = f"{{{field}: {{exists: true}}}}"
    assert warned(routes_file(f"routes:\n  - {{name: all, match: {every}, to: [bot, erp]}}\n")) == []


def test_a_match_that_is_empty_is_noticed_and_told_how_to_be_meant(routes_file: RoutesFile) -> None:
    advice = "write `otherwise: true` for events that no other route matches, or `{entity: {exists: true}}` for all"
    assert warned(routes_file("routes:\n  - {name: all, match: {}, to: [bot, erp]}\n")) == [
        f"routes.yaml:9:17  routes[0].match: matches every event: {advice}"
    ]


@pytest.mark.parametrize(
    ("match", "path", "message"),
    [
        ("entity: lead", "entity", "amoCRM is not known to send the entity 'lead' (did you mean 'leads'?)"),
        (
            "entity: [leads, tasks]",
            "entity[1]",
            "amoCRM is not known to send the entity 'tasks' (did you mean 'task'?)",
        ),
        ("action: updated", "action", "amoCRM is not known to send the action 'updated' (did you mean 'update'?)"),
        ("source: cmr", "source", "no source 'cmr' (did you mean 'crm'?)"),
        ("entity: contacts, type: company", "type", "never matches: a company's events have the entity 'companies'"),
        ("price: {gt: 5, lt: 5}", "price", "never matches: no number is in this range"),
        ("price: {gte: 6, lte: 5}", "price", "never matches: no number is in this range"),
        ("price: {gte: 5, lt: 5}", "price", "never matches: no number is in this range"),
        ("price: {exists: false, gt: 5}", "price", "never matches: a field that is absent has no value"),
        ("status_id: wonn", "status_id", "a status is a number, won or lost, never 'wonn'"),
        ("old_status_id: [won, loose]", "old_status_id[1]", "a status is a number, won or lost, never 'loose'"),
        ("status_id: {not: Won}", "status_id.not", "a status is a number, won or lost, never 'Won'"),
        ("pipelin_id: 7", "pipelin_id", NO_FIELD.format("pipelin_id", "pipeline_id")),
        ("pipelin: 7", "pipelin", NO_FIELD.format("pipelin", "pipeline_id")),
        # names that no event has
        (
            "event: leads.status",
            "event",
            NO_FIELD.format("event", "").replace("''", "type, as in {type: leads.status}"),
        ),
        ("phone: '+7999'", "phone", NO_FIELD.format("phone", "").replace("''", "custom_fields.PHONE")),
        ("data.pipelin: 5", "data.pipelin", NO_FIELD.format("pipelin", "pipeline_id")),
        ("account.idd: 5", "account.idd", NO_FIELD.format("account.idd", "account.id")),
        ("tags.nmae: vip", "tags.nmae", NO_FIELD.format("tags.nmae", "tags.name")),
        ("wholly_unknown: 5", "wholly_unknown", "amoCRM is not known to send the field 'wholly_unknown'"),
        ("timestamp: 5", "timestamp", "never matches: routes do not look at the timestamp of an event"),
        (
            "custom_fields.PHONE.enum: 7",
            "custom_fields.PHONE.enum",
            "never matches: write custom_fields.PHONE, which compares the field's values and the ids of their enums",
        ),
        (
            "еntity: leads",
            "еntity",
            NO_FIELD.format("еntity", "entity") + "; U+0435 CYRILLIC SMALL LETTER IE is in it",
        ),
        # values that they never have
        ("pipeline_id: Продажи", "pipeline_id", f"{IDS} 'Продажи': write the number"),
        ("data.pipeline_id: {not: x}", "data.pipeline_id.not", f"{IDS} 'x': write the number"),
        ("pipeline_id: '1, 2'", "pipeline_id", f"{IDS} '1, 2': write the number (a list is written [1, 2])"),
        ("account.id: example", "account.id", f"{IDS} 'example': write the number"),
        ("responsible_user_id: -5", "responsible_user_id", f"{IDS} '-5': write the number"),
        ("id: 99999999999999999999", "id", "an id of 20 digits never arrives"),
        ("status_id: 1620333716203337", "status_id", "an id of 16 digits never arrives"),
        ("id: lead", "id", "an id is a number, or a message's UUID, never 'lead'"),
        ("pipeline_id: '007'", "pipeline_id", "an id never arrives with a zero in front: write 7"),
        (
            "created_at: {gt: 1764000000000}",
            "created_at.gt",
            "Unix seconds of 13 digits never arrives: these look like milliseconds",
        ),
        (
            "created_at: 2026-01-01",
            "created_at",
            "this field holds Unix seconds, never '2026-01-01': write {gt: 1764000000}",
        ),
        (
            "pipeline_id: 0x1F",
            "pipeline_id",
            '0x1F is compared as text: write 31, or "0x1F" in quotes to mean that text',
        ),
        (
            "custom_fields.5: [7, 1_000]",
            "custom_fields.5[1]",
            '1_000 is compared as text: write 1000, or "1_000" in quotes to mean that text',
        ),
        ("tags: “vip”", "tags", 'the quotes “ ” are taken as part of the text: write "vip"'),
        ("name: {not: «vip»}", "name.not", 'the quotes « » are taken as part of the text: write "vip"'),
        # operators in the text
        ("name: Order*", "name", 'never matches but for a text with that star: write {like: "Order*"}'),
        ("name: {not: [a, '*x']}", "name.not[1]", 'always holds but for a text with that star: write {like: "*x"}'),
        ("name: '*'", "name", "never matches but for a text that is a star: write {exists: true}"),
        ("entity: '*'", "entity", "never matches but for a text that is a star: write {exists: true}"),
        ("price: 1 000", "price", "this field holds plain numbers, never '1 000'"),
        (
            "data.next_price: {not: ['1000', '1000 ₽']}",
            "data.next_price.not[1]",
            "this field holds plain numbers, never '1000 ₽'",
        ),
        ("account: example.amocrm.ru", "account", f"{ACCOUNT} 'example.amocrm.ru': write example"),
        (
            "account.subdomain: {not: [a, 'https://Example.kommo.com/']}",
            "account.subdomain.not[1]",
            f"{ACCOUNT} 'https://Example.kommo.com/': write example",
        ),
        ("price: '>1000'", "price", f"{TEXT} {{gt: 1000}}"),
        ("price: '<= 1000'", "price", f"{TEXT} {{lte: 1000}}"),
        ("status_id: '!=142'", "status_id", f"{TEXT} {{not: 142}}"),
        # types, and what goes together
        ("type: lead.status", "type", "amoCRM is not known to send the entity 'lead' (did you mean 'leads'?)"),
        ("type: leads.stauts", "type", "amoCRM is not known to send the action 'stauts' (did you mean 'status'?)"),
        ("type: leads", "type", "never matches: write entity: leads, or the whole type, like leads.status"),
        (
            "type: {exists: false}",
            "type",
            "never matches: every event has a type: write data.type for the type in its data",
        ),
        ("action: {exists: false}", "action", "never matches: every event has an action"),
        ("action: 'status, add'", "action", "never matches: a list is written [status, add]"),
        (
            "entity: contacts, action: status",
            "action",
            "amoCRM is not known to send contacts.status: only leads and customers have stages",
        ),
        (
            "entity: lеads",
            "entity",
            f"{NO_ENTITY} 'lеads' (did you mean 'leads'?); U+0435 CYRILLIC SMALL LETTER IE is in it",
        ),
        # a lead that is created in the stage
        ("action: status, status_id: 7", "action", f"{ADD} action: [status, add]"),
        (
            "entity: leads, action: [mail_in, status], data.status_id: won",
            "action",
            f"{ADD} action: [mail_in, status, add]",
        ),
        ("type: leads.status, status_id: 7", "type", f"{ADD} type: [leads.status, leads.add]"),
        ("entity: {not: lead}", "entity.not", "amoCRM is not known to send the entity 'lead' (did you mean 'leads'?)"),
        ("status: won", "status", NO_FIELD.format("status", "status_id")),
        ("tag.name: web", "tag.name", NO_FIELD.format("tag", "tags")),
        ("custom_field.7: web", "custom_field.7", NO_FIELD.format("custom_field", "custom_fields")),
    ],
)
def test_a_match_that_cannot_hold_is_noticed(routes_file: RoutesFile, match: str, path: str, message: str) -> None:
    [only] = warned(routes_file("routes:\n  - {name: odd, match: {" + match + "}, to: bot}" + REST))
    assert only.endswith(f"  routes[0].match.{path}: {message}")


@pytest.mark.parametrize(
    "match",
    [
        "entity: [leads, companies, contacts, customers, task, talk, unsorted, message, catalogs]",
        "action: [status, mail_in, call_in, chat, site_visit, period, add, update, note, delete, restore, responsible]",
        "entity: {not: leads}",
        "entity: task, status: 1",
        "entity: message, phone: 79990000001",
        "account.id: 5, account.subdomain: example, data.status_id: 7, data.data.leads.name: x, data.leads.name: x",
        "type: leads.status, status_id: 7, old_status_id: 8",
        "type: [company, 14], data.type: incoming",
        "type: {not: [leads.status, company]}",
        "tags: [vip, 77101], tags.id: 5",
        "custom_fields.PHONE: '+79990000001', custom_fields.Дата. Начало: 5, custom_fields.482913: {not: 'a > b'}",
        "custom_fields.BILL_STATUS: {not: 1371080}, custom_fields.values.value: x, custom_fields.code: PHONE",
        "id: [4831596, 00000000-0000-4000-8000-000000000001]",
        "status_id: {like: '14*'}, created_at: {gte: 1764000000, lt: 1795536000}, responsible_user_id: 0",
        "name: ['«Пример»', '0x1F', '1_000', ООО «Пример», 5 > 4, 2*2]",
        "old_status_id: 7, status_id: 8, action: status",
        "status_id: 7, action: [add, status]",
        "action: status, pipeline_id: 7",
        "entity: customers, action: status, status_id: 7",
        "action: status, status_id: 7, old_pipeline_id: {not: 5}",
        "settings.widget.x: y, _extra.foo: {exists: true}, source_data.from: x, linked_leads_id: 5",
        'entity: "${WORD}"',
        "price: {gte: 5, lte: 5}",
        "price: [5, '', 10.50, -1], account: [700622, my-company, 131373hvv], account.subdomain: {like: 'example.*'}",
        "price: {gt: 5, lt: 6}",
        "price: {exists: true, gt: 5}",
        "entity: [contacts, leads], type: company",
        "status_id: [142, '143', won, lost]",
        "status_id: {not: [won, 7]}, old_status_id: {gt: 7}",
        'status_id: "${WORD}"',
        "tags.name: web, custom_fields.482913: spring, account: example, old_pipeline_id: 7, metadata.link: x",
    ],
)
def test_a_match_that_can_hold_is_left_alone(routes_file: RoutesFile, match: str) -> None:
    assert warned(routes_file("routes:\n  - {name: odd, match: {" + match + "}, to: bot}" + REST, WORD="x")) == []


def test_leads_created_in_the_stage_may_be_another_routes(routes_file: RoutesFile) -> None:
    moved = "  - {name: moved, match: {entity: leads, action: status, status_id: 7}, to: bot}"
    made = "  - {name: made, match: {entity: leads, action: add, status_id: %s}, to: [bot, erp]}"
    assert warned(routes_file("\n".join(["routes:", moved, made % 7]) + REST)) == []
    [only] = warned(routes_file("\n".join(["routes:", moved, made % 8]) + REST))
    assert only == f"routes.yaml:9:42  routes[0].match.action: {ADD} action: [status, add]"


@pytest.mark.parametrize(
    ("others", "missed"),
    [
        (["action: [add, update]"], False),
        (["entity: leads"], False),
        (["source: crm, type: leads.add"], False),
        (["entity: leads, action: add, pipeline_id: 3"], False),
        (["entity: leads, action: add, pipeline_id: 4"], True),
        (["entity: leads, action: add, price: {gt: 5}"], True),
        (["entity: contacts"], True),
        (["entity: leads, action: update"], True),
    ],
)
def test_leads_created_in_any_stage_may_be_another_routes(
    routes_file: RoutesFile, others: list[str], missed: bool
) -> None:
    moved = "routes:\n  - {name: moved, match: {action: status, status_id: 7, pipeline_id: 3}, to: [bot, erp]}"
    made = [f"\n  - {{name: {to}, match: {{{match}}}, to: {to}}}" for match in others for to in ("bot", "erp")]
    lines = [line for line in warned(routes_file(moved + "".join(made) + REST)) if "created" in line]
    assert bool(lines) is missed


def test_ten_times_the_routes_for_a_stage_are_ten_times_the_work(
    routes_file: RoutesFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[Route] = []
    stage = lint_routes._stage

    def looked(route: Route) -> object:
        looked_at.append(route)
        return stage(route)

    monkeypatch.setattr(lint_routes, "_stage", looked)

    def work(number: int) -> int:
        looked_at.clear()
        each = "\n  - {name: r%d, match: {entity: leads, action: status, status_id: %d}, to: bot}"
        config = routes_file("routes:" + "".join(each % (n, n) for n in range(1, number + 1)) + REST)
        assert len(list(lint_routes.miss_created_leads(config))) == number
        return len(looked_at)

    assert work(100) == 10 * work(10)


def test_a_value_from_a_variable_is_not_judged_aloud(routes_file: RoutesFile) -> None:
    asked = 'pipeline_id: "${WORD}", name: {not: ["${WORD}"]}, created_at: "${WORD}"'
    assert warned(routes_file("routes:\n  - {name: odd, match: {" + asked + "}, to: bot}" + REST, WORD=">1*")) == []


def test_every_field_of_every_sample_body_is_known_and_ids_are_numbers() -> None:
    fields = [(name, value) for type_ in sample_bodies.TYPES for name, value in _data(type_).items()]
    assert {name for name, _ in fields} <= FIELDS | OF_FEW.keys()
    assert {name for name, value in fields if name in IDS_OF_AMOCRM | TIMES and not _is_number(value)} == set()
    assert len(fields) > 80


def _data(type_: str) -> Mapping[str, Any]:
    body = form.encode(sample_bodies.body(type_))
    [event] = read(form.decode(body, ""), source="crm", received_at=NO_TIME, new_id=lambda: "1")
    return event.data


def _is_number(value: Any) -> bool:
    return all(map(_is_number, value)) if isinstance(value, list) else isinstance(value, int)


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        ("{entity: leads, action: add}", "{entity: leads}"),
        ("{entity: leads}", "{entity: {exists: true}}"),
        ("{entity: leads}", "{entity: [leads, contacts]}"),
        ("{entity: [leads, contacts]}", "{entity: [contacts, leads, task]}"),
        ("{price: {gt: 5}, entity: leads}", "{price: {gt: 5}}"),
        ("{status_id: 142}", "{status_id: won}"),
        ("{status_id: 7}", "{status_id: {not: won}}"),
        ("{name: hello}", "{name: {like: 'h*'}}"),
        ("{price: 7}", "{price: {gt: 5}}"),
        ("{price: 7}", "{price: {exists: true}}"),
    ],
)
def test_a_route_that_adds_nothing_is_noticed(routes_file: RoutesFile, narrow: str, wide: str) -> None:
    routes = f"""routes:
  - {{name: narrow, match: {narrow}, to: bot}}
  - {{name: wide, match: {wide}, to: [bot, erp]}}
  - {{name: rest, otherwise: true, to: bot}}
"""
    assert warned(routes_file(routes)) == [
        "routes.yaml:9:5  routes[0]: redundant: 'wide' on line 10 sends the same events to the same targets"
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("{entity: leads}", "{entity: contacts}"),
        ("{entity: leads}", "{action: add}"),
        ("{price: {gt: 5}}", "{price: {lt: 6}}"),
        ("{price: {gt: 5}}", "{price: [5, 7]}"),
        ("{entity: leads}", "{price: {not: 7}}"),
        ("{tags.name: a}", "{tags.name: {not: b}}"),
        ("{tags.name: a}", "{tags.name: {not: b, like: '*'}}"),
    ],
)
def test_routes_that_both_add_something_are_left_alone(routes_file: RoutesFile, one: str, other: str) -> None:
    routes = f"""routes:
  - {{name: one, match: {one}, to: bot}}
  - {{name: other, match: {other}, to: bot}}
  - {{name: rest, otherwise: true, to: erp}}
"""
    assert warned(routes_file(routes)) == []


def test_a_wider_route_to_other_targets_covers_nothing(routes_file: RoutesFile) -> None:
    narrow, wide = "{entity: leads}", "{entity: {exists: true}}"
    routes = f"routes:\n  - {{name: a, match: {narrow}, to: [bot, erp]}}\n  - {{name: b, match: {wide}, to: bot}}\n"
    assert warned(routes_file(routes)) == []


def test_of_equal_routes_the_first_is_kept(routes_file: RoutesFile) -> None:
    routes = "routes:\n" + "".join(
        f"  - {{name: {name}, match: {{entity: {{exists: true}}}}, to: [bot, erp]}}\n" for name in "abc"
    )
    assert warned(routes_file(routes)) == [
        "routes.yaml:10:5  routes[1]: redundant: 'a' on line 9 sends the same events to the same targets",
        "routes.yaml:11:5  routes[2]: redundant: 'a' on line 9 sends the same events to the same targets",
    ]


def test_the_tests_of_a_file_pass_or_say_what_differs(routes_file: RoutesFile) -> None:
    config = routes_file("""
routes:
  - {name: leads, match: {entity: leads}, to: [bot, erp]}
  - {name: tasks, match: {entity: task}, to: bot}
tests:
  - {name: good, event: {entity: leads, action: add}, expect: {targets: [erp, bot], routes: leads}}
  - {name: bad, event: {entity: leads, action: add}, expect: {targets: bot, routes: [leads, tasks]}}
  - {name: nowhere, event: {entity: talk, action: add}, expect: {targets: []}}
  - {name: not nowhere, event: {entity: talk, action: add}, expect: {targets: bot}}
""")
    results = run_tests(config.tests, config.matcher)
    assert [(result.test.name, result.passed) for result in results] == [
        ("good", True),
        ("bad", False),
        ("nowhere", True),
        ("not nowhere", False),
    ]
    assert results[1].differences == ("targets: expected bot, got bot, erp", "routes: expected leads, tasks, got leads")
    assert results[3].differences == ("targets: expected bot, got none",)
