"""A daemon's targets behind a proxy, and what a reload makes of that."""

from pathlib import Path
from typing import Any

import pytest

from tests.delivery.conftest import serving
from tests.e2e.processes import running, until
from tests.e2e.sender import post_lead
from tests.e2e.targets import listening, well
from tests.http.proxies import LocalProxy

NAME = "bot.relay.test"
ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
defaults: {{retry: {{initial: 50ms}}, proxy: "http://127.0.0.1:{proxy}"{more}}}
targets: {{good: {{url: "http://bot.relay.test:{port}/good"}}, near: {{url: "http://127.0.0.1:{port}/near"}}}}
routes: [{{name: all, match: {{entity: leads}}, to: [good, near]}}]
"""


@pytest.mark.parametrize("client", ["fast", "plain"])
async def test_a_target_is_reached_through_the_proxy_until_a_reload_says_otherwise(tmp_path: Path, client: str) -> None:
    proxy = LocalProxy()
    async with listening(good=well, near=well) as targets, serving(proxy.talk) as port:
        places: dict[str, Any] = {"proxy": port, "port": targets.port}
        exempt = ", no_proxy: [127.0.0.0/8]"
        routes = ROUTES.format(**places, more=exempt)
        async with running(tmp_path, routes, RELAY_HTTP_CLIENT=client) as relay:
            await post_lead(relay.hook, "m1")
            await until(lambda: len(targets.of("good")) == len(targets.of("near")) == 1)
            assert [NAME in line for line in proxy.lines] == [True]

            relay.routes.write_text(ROUTES.format(**places, more=", no_proxy: '*'").replace(NAME, "localhost"))
            await relay.said("routes reloaded")
            await post_lead(relay.hook, "m2")
            await until(lambda: len(targets.of("good")) == len(targets.of("near")) == 2)
            assert len(proxy.lines) == 1
            assert {line["reason"] for line in relay.lines("attempt")} == {"2xx"}
            assert relay.faults() == []
