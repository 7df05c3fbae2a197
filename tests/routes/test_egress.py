"""`proxy`, `no_proxy` and `deny_private` of a routes file: what they mean for a URL, and what is noticed about them."""

import base64
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relay.errors import RoutesInvalid
from relay.model import DIRECT, Egress, Proxy, Secret
from relay.routes.config import Config, parse
from relay.routes.egress import ignored_variables
from relay.routes.lint import warnings

TargetFile = Callable[..., Config]
PROXY = "proxy: http://proxy.example:3128"


def egress(config: Config) -> Egress:
    return config.targets["bot"].egress


def proxy(config: Config) -> Proxy:
    found = egress(config).proxy
    assert found
    return found


# ---- proxy


@pytest.mark.parametrize(
    ("written", "url", "credentials"),
    [
        ("http://proxy.example:3128", "http://proxy.example:3128", None),
        ("https://proxy.example", "https://proxy.example", None),
        ("HTTP://Proxy.Example:3128/", "http://proxy.example:3128", None),
        ("http://[::1]:3128", "http://[::1]:3128", None),
        ("http://10.0.0.1:8080", "http://10.0.0.1:8080", None),
        ("http://relay:canary@proxy.example:3128", "http://proxy.example:3128", "relay:canary"),
        ("http://relay@proxy.example:3128", "http://proxy.example:3128", "relay:"),
        ("http://re%20lay:p%40ss%2F%3Aw@proxy.example:3128", "http://proxy.example:3128", "re lay:p@ss/:w"),
        ("http://прокси.example:3128", "http://xn--h1adldfi.example:3128", None),
    ],
)
def test_a_proxy_is_a_url_and_what_it_knows_us_by(
    target_file: TargetFile, written: str, url: str, credentials: str | None
) -> None:
    found = proxy(target_file(f'proxy: "{written}"'))
    assert (found.url, found.credentials and found.credentials.reveal()) == (url, credentials)
    basic = found.authorization and found.authorization.reveal()
    assert basic == (f"Basic {base64.b64encode(credentials.encode()).decode()}" if credentials else None)


def test_a_proxy_never_prints_what_is_secret_of_it(target_file: TargetFile) -> None:
    config = target_file("proxy: 'http://relay:${PW}@proxy.example:3128'", PW="canary")
    assert "canary" not in repr(config.targets["bot"])
    assert {each.reveal() for each in proxy(config).secrets} >= {"canary", "relay:canary"}


def test_a_target_has_the_proxy_of_the_defaults_or_its_own_or_none(target_file: TargetFile) -> None:
    defaults = f"{{{PROXY}, no_proxy: other.example}}"
    assert proxy(target_file("timeout: 5s", defaults)).url == "http://proxy.example:3128"
    assert proxy(target_file("proxy: http://own.example:1", defaults)).url == "http://own.example:1"
    assert egress(target_file("proxy: none", defaults)).proxy is None
    assert egress(target_file("timeout: 5s")) is DIRECT or egress(target_file("timeout: 5s")) == DIRECT


# ---- no_proxy


@pytest.mark.parametrize(
    ("written", "url", "exempt"),
    [
        ("[bot.example]", "https://bot.example/", True),
        ("[bot.example]", "https://BOT.example./", True),
        ("[bot.example]", "https://a.bot.example/", True),
        ("[bot.example]", "https://robot.example/", False),
        ("[bot.example]", "https://bot.example.org/", False),
        ("[.example]", "https://bot.example/", True),
        ("['*.example']", "https://bot.example/", True),
        ("[.bot.example]", "https://bot.example/", False),
        ("[.bot.example]", "https://a.b.bot.example/", True),
        ("['BOT.Example.']", "https://bot.example/", True),
        ("[бот.example]", "https://xn--90a0am.example/", True),
        ("[xn--90a0am.example]", "https://бот.example/", True),
        ("['bot.example:443']", "https://bot.example/", True),
        ("['bot.example:443']", "https://bot.example:8443/", False),
        ("['bot.example:80']", "http://bot.example/", True),
        ("[10.0.0.0/8]", "http://10.1.2.3/", True),
        ("[10.1.2.3/8]", "http://10.200.0.1/", True),
        ("[10.0.0.0/8]", "http://11.1.2.3/", False),
        ("[10.0.0.0/8]", "http://ten.example/", False),
        ("[10.1.2.3]", "http://10.1.2.3:81/", True),
        ("['10.1.2.3:80']", "http://10.1.2.3:81/", False),
        ("['::1']", "http://[::1]:81/", True),
        ("['[::1]:80']", "http://[::1]:81/", False),
        ("['[::1]:81']", "http://[0:0::1]:81/", True),
        ("['2001:db8::/32']", "http://[2001:db8::7]/", True),
        ("['2001:db8::/32']", "http://10.0.0.1/", False),
        ("[localhost]", "http://localhost:9000/", True),
        ("['*']", "https://any.example/", True),
        ("'a.example, .b.example,10.0.0.0/8'", "http://x.b.example/", True),
        ("'a.example, .b.example,10.0.0.0/8'", "http://c.example/", False),
        ("[a.example, b.example]", "http://b.example/", True),
        ("[a.example]", "http://127.0.0.1/", False),
    ],
)
def test_hosts_that_are_exempt_are_reached_without_the_proxy(
    target_file: TargetFile, written: str, url: str, exempt: bool
) -> None:
    config = target_file(f"{PROXY}, no_proxy: {written}")
    assert (egress(config).proxy_to(url) is None) is exempt


def test_exemptions_are_inherited_apart_from_the_proxy(target_file: TargetFile) -> None:
    config = target_file(PROXY, "{no_proxy: '${NO_PROXY}'}", NO_PROXY="bot.example,10.0.0.0/8")
    assert egress(config).proxy_to("https://bot.example/") is None
    assert egress(config).proxy_to("https://other.example/") is egress(config).proxy
    config = target_file(f"{PROXY}, no_proxy: [other.example]", "{no_proxy: bot.example}")
    assert egress(config).proxy_to("https://bot.example/") is not None


# ---- deny_private


def test_the_guard_is_inherited_and_can_be_lifted(target_file: TargetFile) -> None:
    assert not egress(target_file("timeout: 5s")).deny_private
    assert egress(target_file("timeout: 5s", "{deny_private: true}")).deny_private
    assert not egress(target_file("deny_private: false", "{deny_private: true}")).deny_private


def test_a_public_address_and_a_name_are_left_to_the_connection() -> None:
    text = """
version: 1
sources: {crm: {token: "0123456789abcdef0123"}}
defaults: {deny_private: true}
targets: {a: {url: "https://93.184.216.34/"}, b: {url: "https://internal.example/"}, c: {url: "https://[2a00::1]/"}}
routes: [{name: all, match: {}, to: [a, b, c]}]
"""
    assert all(each.egress.deny_private for each in parse(text, file="routes.yaml", env={}).targets.values())


# ---- what is noticed


def noticed(config: Config) -> list[str]:
    return [f"{each.path}: {each.message}" for each in warnings(config) if each.path.startswith(("targets", "def"))]


def test_a_password_in_the_file_is_noticed(target_file: TargetFile) -> None:
    advice = "a secret in the file: write ${NAME} and set the variable, or ${file:/run/secrets/name}"
    assert noticed(target_file("proxy: 'http://u:canary@proxy.example'")) == [f"targets.bot.proxy: {advice}"]
    assert noticed(target_file("timeout: 5s", "{proxy: 'http://u:canary@proxy.example'}")) == [
        f"defaults.proxy: {advice}"
    ]
    assert noticed(target_file("proxy: 'http://u:${PW}@proxy.example'", PW="canary")) == []
    assert noticed(target_file(PROXY)) == []


def test_exemptions_from_nothing_are_noticed(target_file: TargetFile) -> None:
    assert noticed(target_file("no_proxy: bot.example")) == [
        "targets.bot.no_proxy: the target has no proxy: write proxy, too"
    ]
    assert noticed(target_file("timeout: 5s", "{no_proxy: bot.example}")) == [
        "defaults.no_proxy: no target has a proxy: write proxy, too"
    ]
    assert noticed(target_file("no_proxy: bot.example", f"{{{PROXY}}}")) == []


def test_a_target_on_this_machine_behind_a_proxy_elsewhere_is_noticed(target_file: TargetFile) -> None:
    def at(url: str, more: str) -> list[str]:
        text = f"""
version: 1
sources: {{crm: {{token: "${{CRM_TOKEN}}"}}}}
targets: {{bot: {{url: "{url}", {more}}}}}
routes: [{{name: all, match: {{}}, to: bot}}]
"""
        return noticed(parse(text, file="routes.yaml", env={"CRM_TOKEN": "0123456789abcdef0123"}))

    said = ["targets.bot.url: the proxy would look for it on its own machine: add its host to no_proxy"]
    assert at("http://127.0.0.1:9000/", PROXY) == said
    assert at("http://localhost:9000/", PROXY) == said
    assert at("http://localhost:9000/", "proxy: 'http://127.0.0.1:3128'") == []
    assert at("http://localhost:9000/", f"{PROXY}, no_proxy: localhost") == []


def test_proxies_of_the_environment_are_noticed_where_no_target_has_one(target_file: TargetFile) -> None:
    env = {"HTTPS_PROXY": "http://u:canary@x", "http_proxy": "http://x", "NO_PROXY": "y", "ALL_PROXY": ""}
    said = ignored_variables(target_file("timeout: 5s").targets.values(), env)
    assert said is not None
    assert said.startswith("HTTPS_PROXY and http_proxy are not used: ")
    assert "canary" not in said
    assert ignored_variables(target_file(PROXY).targets.values(), env) is None
    assert ignored_variables(target_file("timeout: 5s").targets.values(), {"NO_PROXY": "y", "HTTP_PROXY": ""}) is None


PIECES = st.sampled_from(
    [
        "http://",
        "https://",
        "@",
        ":",
        "/",
        "[",
        "]",
        "::1",
        "%",
        "%40",
        "a",
        "бот",
        ".",
        "-",
        "*",
        "10.0.0.0",
        "/8",
        ",",
    ]
)


@settings(max_examples=300)
@example("http://@]", "a")
@given(st.lists(PIECES, min_size=1, max_size=8).map("".join), st.lists(PIECES, min_size=1, max_size=8).map("".join))
def test_every_text_is_a_setting_or_a_problem(first: str, second: str) -> None:
    text = f"""
version: 1
sources: {{crm: {{token: "0123456789abcdef0123"}}}}
targets: {{bot: {{url: "https://bot.example/", proxy: "http://{first}", no_proxy: ["{second}"]}}}}
routes: [{{name: all, match: {{}}, to: bot}}]
"""
    try:
        config = parse(text, file="routes.yaml", env={})
    except RoutesInvalid as refused:
        assert refused.problems
    else:
        warnings(config)
        egress(config).proxy_to("https://bot.example/")


def test_without_secrets_a_proxy_is_somebody(target_file: TargetFile) -> None:
    text = """
version: 1
sources: {crm: {token: "${CRM_TOKEN}"}}
defaults: {proxy: "${PROXY}", no_proxy: ["${EXEMPT}"]}
targets: {a: {url: "https://a.example/"}, b: {url: "https://b.example/", proxy: "http://u:${PW}@x", no_proxy: "${N}"}}
routes: [{name: all, match: {}, to: [a, b]}]
"""
    config = parse(text, file="routes.yaml", env={}, stand_ins=True)
    assert all(each.egress.proxy for each in config.targets.values())


def test_a_secret_is_one_whatever_its_place() -> None:
    one = Egress(proxy=Proxy(url="http://x", credentials=Secret("a:b")))
    assert one != Egress(proxy=Proxy(url="http://x", credentials=Secret("a:c")))
