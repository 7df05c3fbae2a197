"""Whatever stands in a routes file, it is a Config or every problem with it; see also tests/chaos/fuzz.py."""

import json

import yarl
from hypothesis import example, given
from hypothesis import strategies as st

from relay.errors import RoutesInvalid
from relay.routes.config import Config, parse

WORDS = """
version sources targets defaults routes tests retention crm bot token accounts dedupe url headers secret timeout
concurrency retry initial factor max jitter max_age schedule attempts breaker failures dead_on ok_on order rate format
tls ca name match otherwise to entity status_id not exists gt like event expect data delivered
method body query content_type requests batch most within proxy no_proxy deny_private ok_if retry_after
oauth2 token_url client_id client_secret scope auth
account host oauth redirect_uri names guard reenable heal mode actions most settle dp stage on
"""
KEYS = st.sampled_from(WORDS.split())
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(
        [
            "crm",
            "bot",
            "${TOKEN}",
            "${ABSENT}",
            "${TOKEN",
            "https://bot.example/in",
            "5s",
            "3d",
            "20%",
            "50/s",
            "won",
            "{{ data.id }}",
            "{{ data.id",
            "{% if %}",
            "{#",
        ]
    )
    | st.text(max_size=20)
)
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=20
)


def mostly(*sound: object) -> st.SearchStrategy[object]:
    """Now and then something else stands there."""
    return st.sampled_from(sound) | st.sampled_from(sound) | TREES


SETTINGS = {
    "timeout": mostly("5s", "200ms"),
    "concurrency": mostly(1, 8),
    "retry": mostly({"initial": "1s", "max": "1h"}, {"schedule": ["5s", "5m"]}),
    "rate": mostly("50/s"),
    "order": mostly("entity"),
    "dead_on": mostly([400, 410]),
    "ok_on": mostly([302], [410]),
    "method": mostly("PUT"),
    "query": mostly({"lead": "{{ data.id }}", "bot": "${TOKEN}"}),
    "headers": mostly({"X-Lead": "{{ data.id }}"}),
    "body": mostly({"id": "{{ data.id }}", "bot": ["${TOKEN} {{ source }}"]}, "{{ data.id }};{{ data.name }}"),
    "content_type": mostly("text/csv"),
    "batch": mostly({"most": 100, "within": "2s"}, {"most": 2}),
    "proxy": mostly("http://proxy.example:3128", "${TOKEN}"),
    "no_proxy": mostly(["bot.example", "10.0.0.0/8"]),
    "deny_private": mostly(True),
    "ok_if": mostly("{{ answer.ok }}"),
    "retry_after": mostly("{{ answer.parameters.retry_after }}"),
    "oauth2": mostly({"token_url": "https://id.example/token", "client_id": "relay", "client_secret": "${TOKEN}"}),
}
CONDITIONS = st.dictionaries(KEYS, mostly("leads", 142, ["won", "lost"], {"not": 5}, {"exists": True}), max_size=3)
ROUTE = st.fixed_dictionaries({"name": mostly("a", "b", "c"), "match": CONDITIONS | TREES, "to": mostly("bot")})
TARGET = st.fixed_dictionaries({"url": mostly("https://bot.example/in")}, optional=SETTINGS)
FILES = st.fixed_dictionaries(
    {
        "version": mostly(1),
        "sources": mostly({"crm": {"token": "${TOKEN}"}}),
        "targets": st.fixed_dictionaries({"bot": TARGET}) | TREES,
        "routes": st.lists(ROUTE, min_size=1, max_size=2) | TREES,
    },
    optional={"defaults": mostly({"timeout": "5s"}), "tests": TREES, "retention": mostly({"dead": "90d"})},
)
PIECES = "http https :// / : @ [ ] ::1 [::1] % %41 ? # a.example \\ . - 80"
URL_PARTS = st.sampled_from(PIECES.split())
URLS = st.text(max_size=30) | st.lists(URL_PARTS | st.text(max_size=2)).map("".join)
AROUND_URL = """\
version: 1
sources: {crm: {token: "${TOKEN}"}}
targets: {bot: {url: "${URL}"}}
routes: [{name: all, match: {}, to: bot}]
"""


def parsed(text: str, **env: str) -> Config | None:
    """None if it has problems, each of which says something."""
    try:
        return parse(text, file="routes.yaml", env={"TOKEN": "canary-crm-token-0123456789"} | env)
    except RoutesInvalid as invalid:
        assert invalid.problems
        assert all(problem.message for problem in invalid.problems)
        return None


@given(FILES)
@example({"version": 1, "sources": {"crm": {"token": "${TOKEN}"}}, "targets": {"bot": "${TOKEN}"}, "routes": None})
def test_whatever_the_file_says_there_is_a_config_or_a_problem(document: object) -> None:
    parsed(json.dumps(document))


@given(URLS | URLS.map("https://".__add__))
def test_a_url_that_may_stand_in_the_file_is_one_to_send_to(url: str) -> None:
    config = parsed(AROUND_URL, URL=url)
    assert config is None or yarl.URL(config.targets["bot"].url).host
