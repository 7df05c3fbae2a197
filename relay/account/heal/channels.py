"""Event of a webhook -> its channel: `account`, or a trigger of the digital pipeline, `dp:status:752662/142:try=1`.

One move of a lead brings one webhook for each channel, often to one address, so nothing is matched across channels.
A trigger's channel has its action, the stage and the query of its address: two automations may differ in that alone.
"""

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

from relay.model import Event
from relay.model.accounts import DpTrigger

ACCOUNT = "account"
UPDATES = "updates"
"""Beside `account`: its `update` webhooks, which report a state and not one change. Also a move makes one."""

_DP_ONLY = frozenset({"call_in", "chat", "mail_in", "site_visit"})
_OF_A_WIDGET = frozenset({"type_code", "settings"})
_TIMES = ("last_modified", "updated_at")


class Stage(NamedTuple):
    """A stage of a pipeline. 142 and 143 exist in every pipeline, so the status alone does not name it."""

    pipeline_id: int
    status_id: int


class DpChannel(NamedTuple):
    """One trigger of the digital pipeline; `query`: see `canonical`."""

    action: str
    stage: Stage
    query: str = ""

    @property
    def name(self) -> str:
        """`dp:status:752662/142:try=1`."""
        return f"dp:{self.action}:{self.stage.pipeline_id}/{self.stage.status_id}:{self.query}"


def parse(name: str) -> DpChannel | None:
    """The trigger of a channel's name; None for those of the account."""
    if not name.startswith("dp:"):
        return None
    _, action, stage, query = name.split(":", 3)
    pipeline, _, status = stage.partition("/")
    return DpChannel(action, Stage(int(pipeline), int(status)), query)


def channels_of(trigger: DpTrigger, stage: Stage) -> list[DpChannel]:
    """The channels of a trigger of the routes file, whose stage is resolved."""
    return [DpChannel(action, stage, urlencode(sorted(trigger.query.items()))) for action in trigger.on]


def canonical(query: str) -> str:
    """The query in a form that is equal for equal parameters, whatever their order and escapes."""
    return urlencode(sorted(parse_qsl(query, keep_blank_values=True))) if query else ""


def channel_of(event: Event, query: str) -> str | None:
    """The channel that brought an event; None if nothing of it can be healed (a widget's call, a customer's period).

    Of a trigger's body, only what account-level webhooks do not have tells it apart: `old_pipeline_id` in a move; no
    time of change and no `account[_links]` in an addition (public captures, 2016–2025).
    """
    data = event.data
    if not _OF_A_WIDGET.isdisjoint(data) or event.action == "period":
        return None
    if event.entity != "leads" or not _is_of_a_trigger(event):
        return ACCOUNT
    stage = stage_of(data)
    return DpChannel(event.action, stage, canonical(query)).name if stage else None


def stage_of(data: Mapping[str, object]) -> Stage | None:
    """The stage that a lead is in by its fields; None if they do not show it."""
    match data:
        case {"pipeline_id": int(pipeline), "status_id": int(status)}:
            return Stage(pipeline, status)
    return None


def _is_of_a_trigger(event: Event) -> bool:
    match event.action:
        case "status":
            return "old_pipeline_id" in event.data
        case "add":
            return "_links" not in event.account and not any(name in event.data for name in _TIMES)
        case action:
            return action in _DP_ONLY
