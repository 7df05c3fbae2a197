from collections.abc import Callable
from dataclasses import FrozenInstanceError
from datetime import timedelta

import pytest

from relay.model import Batch, Format, Method, Order, Retention, RetryPolicy, Secret, Target
from relay.routes.config import Config, parse

TargetFile = Callable[..., Config]
RoutesFile = Callable[..., Config]
ENV = {"CRM_TOKEN": "canary-crm-token-0123456789"}
KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


def test_a_target_that_sets_nothing_has_the_built_in_values(target_file: TargetFile) -> None:
    bot = target_file("").targets["bot"]
    assert bot == Target(name="bot", url="https://bot.example/in")


def test_a_target_can_set_everything(target_file: TargetFile) -> None:
    bot = target_file(
        f"""method: PUT, headers: {{X-A: a, X-N: 5}}, secret: [{KEY}, whsec_{KEY}], timeout: 200ms, concurrency: 1,
        retry: {{initial: 1s, factor: 1.5, max: 2h, jitter: 0%, max_age: 1d, attempts: 9}}, breaker: {{failures: 3}},
        dead_on: [404], ok_on: [302], order: entity, rate: 30/m, format: cloudevents"""
    ).targets["bot"]
    assert bot == Target(
        name="bot",
        url="https://bot.example/in",
        method=Method.PUT,
        headers={"X-A": Secret("a"), "X-N": Secret("5")},
        secrets=(Secret(KEY), Secret(f"whsec_{KEY}")),
        timeout=timedelta(milliseconds=200),
        concurrency=1,
        retry=RetryPolicy(
            initial=timedelta(seconds=1),
            factor=1.5,
            max=timedelta(hours=2),
            jitter=0.0,
            max_age=timedelta(days=1),
            attempts=9,
        ),
        dead_on=frozenset({404}),
        ok_on=frozenset({302}),
        order=Order.ENTITY,
        rate=0.5,
        format=Format.CLOUDEVENTS,
        breaker_failures=3,
    )


def test_a_target_may_take_batches(target_file: TargetFile) -> None:
    assert target_file("batch: {}").targets["bot"].batch == Batch(most=100, within=timedelta(seconds=2))
    set_ = target_file("batch: {most: 1000, within: 1m}").targets["bot"].batch
    assert set_ == Batch(most=1000, within=timedelta(minutes=1))


def test_a_target_of_another_format_by_default_takes_batches_of_json(target_file: TargetFile) -> None:
    bot = target_file("batch: {most: 5}, format: json", defaults="{format: form}").targets["bot"]
    assert (bot.format, bot.batch) == (Format.JSON, Batch(most=5))


def test_a_source_may_have_a_window_for_repeats() -> None:
    text = """
version: 1
sources: {crm: {token: "${CRM_TOKEN}", dedupe: 2h}, plain: {token: "${CRM_TOKEN}"}}
targets: {bot: {url: "https://bot.example/in"}}
routes: [{name: all, match: {}, to: bot}]
"""
    sources = parse(text, file="routes.yaml", env=ENV).sources
    assert [each.dedupe for each in sources.values()] == [timedelta(hours=2), None]


def test_retention_has_built_in_ages_and_each_can_be_set(routes_file: RoutesFile) -> None:
    routes = "routes: [{name: all, match: {}, to: [bot, erp]}]\n"
    days = timedelta(days=1)
    assert routes_file(routes).retention == Retention(
        delivered=30 * days, dead=90 * days, unrouted=30 * days, unparsed=90 * days
    )
    assert routes_file(routes + "retention: {delivered: 36h, dead: forever, unrouted: 3650d}").retention == Retention(
        delivered=1.5 * days, dead=None, unrouted=3650 * days, unparsed=90 * days
    )


def test_defaults_stand_under_a_target_key_by_key(target_file: TargetFile) -> None:
    bot = target_file(
        "timeout: 1s, retry: {max: 5m}",
        defaults="{timeout: 9s, concurrency: 2, retry: {initial: 3s, max: 1m, jitter: 50%}, dead_on: []}",
    ).targets["bot"]
    assert (bot.timeout, bot.concurrency, bot.dead_on) == (timedelta(seconds=1), 2, frozenset())
    assert bot.retry == RetryPolicy(initial=timedelta(seconds=3), max=timedelta(minutes=5), jitter=0.5)


def test_a_schedule_in_the_target_replaces_the_default_pace(target_file: TargetFile) -> None:
    retry = (
        target_file("retry: {schedule: [5s, 5m]}", defaults="{retry: {initial: 3s, max_age: 1d}}").targets["bot"].retry
    )
    assert retry.schedule == (timedelta(seconds=5), timedelta(minutes=5))
    assert retry.max_age == timedelta(days=1)


def test_a_pace_in_the_target_replaces_the_default_schedule(target_file: TargetFile) -> None:
    retry = target_file("retry: {initial: 3s}", defaults="{retry: {schedule: [5s], attempts: 4}}").targets["bot"].retry
    assert (retry.schedule, retry.initial, retry.attempts) == ((), timedelta(seconds=3), 4)


def test_a_target_can_raise_the_limit_that_its_default_would_exceed(target_file: TargetFile) -> None:
    retry = target_file("retry: {initial: 2h, max: 3h}").targets["bot"].retry
    assert retry.initial == timedelta(hours=2)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9000/in",
        "http://[::1]:9000/in",
        "https://bot.example",
        "https://bot.example/in?key=1&b=%20",
        "http://handler_1:8000/",
        "https://бот.рф/вход",
        "HTTPS://Bot.Example/in",
    ],
)
def test_a_url_is_kept_as_it_is_written(url: str) -> None:
    file = f'{{version: 1, sources: {{a: {{token: "{"t" * 16}"}}}}, targets: {{b: {{url: "{url}"}}}}, '
    file += "routes: [{name: all, match: {}, to: b}]}"
    assert parse(file, file="routes.yaml", env={}).targets["b"].url == url


def test_a_source_may_have_two_tokens_and_accounts_by_id_or_subdomain() -> None:
    file = """{version: 1, sources: {a: {token: ["${ONE}", "${TWO}"], accounts: [29085955, example]}},
    targets: {b: {url: "https://b.example"}}, routes: [{name: all, match: {}, to: b}]}"""
    config = parse(file, file="routes.yaml", env={"ONE": "1" * 16, "TWO": "2" * 16})
    source = config.sources["a"]
    assert source.tokens == (Secret("1" * 16), Secret("2" * 16))
    assert source.accounts == {"29085955", "example"}


def test_a_route_knows_its_place_and_targets(routes_file: RoutesFile) -> None:
    config = routes_file(
        "routes:\n  - {name: one, match: {}, to: bot}\n  - name: two\n    otherwise: true\n    to: [erp, bot]\n"
    )
    one, two = config.routes
    assert (one.name, one.targets, one.otherwise, one.line, one.column) == ("one", ("bot",), False, 9, 5)
    assert (two.name, two.targets, two.otherwise, two.line, two.column) == ("two", ("erp", "bot"), True, 10, 5)


def test_the_event_of_a_test_is_as_it_would_arrive(routes_file: RoutesFile) -> None:
    config = routes_file("""
routes: [{name: all, match: {}, to: bot}]
tests:
  - name: a
    event: {entity: leads, action: add, account: 5, data: {price: 1.50, n: 7, t: [1.0]}}
    expect: {routes: all}
  - {name: b, event: {entity: leads, action: add, account: example, source: crm}, expect: {targets: []}}
  - {name: c, event: {entity: leads, action: add, account: {id: 5, subdomain: example}}, expect: {targets: []}}
""")
    first, second, third = (test.event for test in config.tests)
    assert (first.source, first.account, first.data) == ("crm", {"id": 5}, {"price": "1.50", "n": 7, "t": ["1.0"]})
    assert (second.account, third.account) == ({"subdomain": "example"}, {"id": 5, "subdomain": "example"})
    assert [(test.targets, test.routes) for test in config.tests[:2]] == [(None, {"all"}), (frozenset(), None)]


def test_a_config_is_frozen(target_file: TargetFile) -> None:
    config = target_file("")
    with pytest.raises(FrozenInstanceError):
        config.file = "other"  # type: ignore[misc]


def test_a_digest_is_of_the_rules_and_not_of_secrets_comments_or_the_order_of_names(routes_file: RoutesFile) -> None:
    text = "routes:\n  - {name: all, match: {entity: leads}, to: [bot, erp]}\n"
    digest = routes_file(text).digest
    assert routes_file(f"# the same\n{text}", CRM_TOKEN="another-token-0123456789").digest == digest
    assert (
        routes_file(
            text.replace("match: {entity: leads}, to: [bot, erp]", "to: [bot, erp], match: {entity: leads}")
        ).digest
        == digest
    )
    for other in (text.replace("leads", "contacts"), text.replace("bot, erp", "erp, bot"), text.replace("all", "some")):
        assert routes_file(other).digest != digest
