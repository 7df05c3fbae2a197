"""What the tests of this room share: a small routes file to change, and events."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from relay.model import Event
from relay.routes.config import Config, parse

HEAD = """
version: 1
sources:
  crm: {token: "${CRM_TOKEN}"}
targets:
  bot: {url: "https://bot.example/in"}
  erp: {url: "https://erp.example/in"}
"""
ENV = {"CRM_TOKEN": "canary-crm-token-0123456789"}


@pytest.fixture
def routes_file() -> Callable[..., Config]:
    """The text of `routes:` and what follows -> Config."""

    def parsed(text: str, **env: str) -> Config:
        return parse(HEAD + text, file="routes.yaml", env=ENV | env)

    return parsed


@pytest.fixture
def target_file() -> Callable[..., Config]:
    """The settings of one target `bot`, as a flow mapping -> Config."""

    def parsed(settings: str, defaults: str = "{}", **env: str) -> Config:
        text = f"""
version: 1
sources: {{crm: {{token: "${{CRM_TOKEN}}"}}}}
defaults: {defaults}
targets: {{bot: {{url: "https://bot.example/in", {settings}}}}}
routes: [{{name: all, match: {{}}, to: bot}}]
"""
        return parse(text, file="routes.yaml", env=ENV | env)

    return parsed


@pytest.fixture
def event() -> Callable[..., Event]:
    """The fields of `data` -> an event; `leads.status` from `crm` unless told otherwise."""

    def made(
        entity: str = "leads",
        action: str = "status",
        *,
        source: str = "crm",
        account: dict[str, Any] | None = None,
        **data: Any,
    ) -> Event:
        return Event(
            id="",
            source=source,
            received_at=datetime(2026, 1, 1, tzinfo=UTC),
            account=account or {},
            entity=entity,
            action=action,
            data=data,
        )

    return made
