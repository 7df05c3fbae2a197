"""Every question and act, in the order of the OpenAPI document."""

from typing import Any

from relay.operations.act_deliveries import ACT_DELIVERIES
from relay.operations.activity import ACTIVITY, SOURCES
from relay.operations.acts import ACT, ACTS, STOP_ACT
from relay.operations.attempts import ATTEMPTS
from relay.operations.audits import AUDIT
from relay.operations.deliveries import DELIVERIES, DELIVERIES_COUNT
from relay.operations.desk import Operation
from relay.operations.dismiss import DISMISS
from relay.operations.drop import DROP
from relay.operations.export import EXPORT, EXPORT_WEBHOOKS
from relay.operations.forget import FORGET
from relay.operations.heals import GUARD_RESUME, HEAL, HEAL_APPROVE, HEAL_RUN, HEALED
from relay.operations.notify_test import NOTIFY_TEST
from relay.operations.overview import OVERVIEW
from relay.operations.pause import PAUSE, RESUME
from relay.operations.probe import PROBE
from relay.operations.purges import PURGE
from relay.operations.refused import REFUSED
from relay.operations.reloads import RELOAD, ROUTES
from relay.operations.reparses import REPARSE
from relay.operations.replays import REPLAYS
from relay.operations.routes import CHECK, DIFF, EXPLAIN
from relay.operations.samples import SAMPLE
from relay.operations.sessions import END_SESSIONS
from relay.operations.status import STATUS, TARGET, TARGETS
from relay.operations.story import STORY
from relay.operations.target_settings import TARGET_SETTINGS
from relay.operations.unrouted import UNROUTED
from relay.operations.verify import VERIFY
from relay.operations.webhooks import EVENT, EVENTS, UNPARSED, WEBHOOK

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    # questions
    ACT,
    ACTIVITY,
    ACT_DELIVERIES,
    ACTS,
    ATTEMPTS,
    AUDIT,
    CHECK,
    DELIVERIES,
    DELIVERIES_COUNT,
    DIFF,
    EVENT,
    EVENTS,
    EXPLAIN,
    EXPORT,
    EXPORT_WEBHOOKS,
    HEAL,
    OVERVIEW,
    HEALED,
    REFUSED,
    ROUTES,
    SOURCES,
    STATUS,
    STORY,
    TARGET,
    TARGETS,
    TARGET_SETTINGS,
    UNPARSED,
    UNROUTED,
    WEBHOOK,
    # acts
    DISMISS,
    DROP,
    END_SESSIONS,
    FORGET,
    GUARD_RESUME,
    HEAL_APPROVE,
    HEAL_RUN,
    NOTIFY_TEST,
    PAUSE,
    PROBE,
    PURGE,
    RELOAD,
    REPARSE,
    REPLAYS,
    RESUME,
    SAMPLE,
    STOP_ACT,
    VERIFY,
)
