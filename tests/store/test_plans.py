"""Each hot statement of the PostgreSQL store uses its indexes, with a history of 400,000 deliveries, 40,000 pending.

Under a plan for any values as under one for those it is given: the server chooses one of them by itself.
"""

import asyncio
import json
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest

from relay.model import Delivered, Delivery
from relay.store.claim_tokens import Tokens
from relay.store.postgres import claims, duplicates, enrichments, ingest, ingest_sql
from relay.store.postgres.arrays import Numbers, Texts
from relay.store.postgres.connection import Statement
from relay.store.postgres.ingest_rows import asked_of, values
from relay.store.postgres.lost_claims import LostClaims
from relay.store.postgres.registry import ABANDONED, Owner, Registry, declare_dead
from relay.store.requests import KeepRequest, Settlement, Windows
from tests.postgres import Cluster
from tests.store import plans
from tests.store.conftest import MINUTE, NOON, OK, routed, to, webhook

HOURS = timedelta(hours=3)
OWNER = Owner("a", 1)


@pytest.fixture(scope="session")
def history(postgres: Cluster) -> str:
    """The name of a database: see `plans`. Whoever uses it undoes what it does."""
    return asyncio.run(plans.made(postgres))


@pytest.fixture(scope="session")
def young(postgres: Cluster) -> str:
    """As `history`, with few rows: what is planned there may be in use when they are many."""
    return asyncio.run(plans.made(postgres, events=500, pending=400))


def check(postgres: Cluster, database: str, *statements: Statement, scanned: Collection[str] = plans.SCANNED) -> None:
    with plans.planner(postgres, database) as planner:
        for statement in statements:
            for kind, plan in planner.plans(statement).items():
                assert not plans.faults(plan, scanned), (kind, statement[0], json.dumps(plan, indent=1))


def requests(number: int, key: str | None) -> list[KeepRequest]:
    """Of new webhooks with two deliveries each; the ordered ones wait behind those of the history."""
    made = []
    for n in range(number):
        one = replace(webhook(n), id=f"new-{n}", body=b"%d" % n)
        event = routed(n, to(lease=MINUTE), to("dwh", lease=MINUTE, key=key and f"{key}{n}"), lead=n)
        made.append(KeepRequest(one, [replace(event, event=replace(event.event, id=f"new-event-{n}"))], NOON, WINDOWS))
    return made


WINDOWS = Windows(None, HOURS)


@pytest.mark.parametrize("number", [1, 64, 256])
@pytest.mark.parametrize("key", [None, "29085955/leads/"])
def test_a_batch_is_kept_by_indexes_alone(postgres: Cluster, history: str, number: int, key: str | None) -> None:
    tokens = count(plans.FIRST_TOKEN + 10**6)
    asked = [asked_of(each, tokens) for each in requests(number, key)]
    check(postgres, history, *ingest.statements(asked, owner=OWNER))


@pytest.mark.parametrize("number", [1, 64, 256])
def test_a_plan_made_while_little_is_stored_is_good_for_much(postgres: Cluster, young: str, number: int) -> None:
    """Small tables are read as a whole."""
    asked = [asked_of(each, None) for each in requests(number, "29085955/leads/")]
    small = {"webhooks", "events", "deliveries", *plans.SCANNED}
    check(postgres, young, *ingest.statements(asked, owner=OWNER), scanned=small)


def test_what_is_known_or_repeats_is_found_by_indexes_alone(postgres: Cluster, history: str) -> None:
    asked = [asked_of(each, None) for each in requests(128, None)]
    ids = Texts(f"webhook-{n:08}" for n in range(1, 129))
    [first] = asked[:1]
    event = first.request.routed[0].event
    check(
        postgres,
        history,
        (ingest_sql.KNOWN, {"id": ids}),
        (ingest_sql.RAW_KEYS, {"id": ids}),
        (ingest_sql.REPEATING, values(asked)),
        duplicates.last_equal(first, HOURS),
        duplicates.about_since(first.request.webhook, event, seq=7, first_event=7),
    )


def test_events_are_added_to_an_unparsed_webhook_by_indexes_alone(postgres: Cluster, history: str) -> None:
    [asked] = [asked_of(each, None) for each in requests(1, "29085955/leads/")]
    webhook = {"webhook": plans.EVENTS, "now": 0, "why": ingest.REPARSED}
    check(
        postgres,
        history,
        (ingest_sql.READ, {"id": f"webhook-{plans.EVENTS:08}"}),
        (ingest_sql.REPLACE_DEAD, webhook),
        (ingest_sql.REPLACE_PENDING, webhook),
        (ingest_sql.ADD_EVENTS, {**values([asked]), **webhook, "relay": OWNER.relay, "incarnation": OWNER.incarnation}),
    )


# ---- claims


def delivered(number: int, target: str) -> list[Settlement]:
    """Claimed deliveries of the history, or ordered ones that are due."""
    first = plans.EVENTS - plans.PENDING
    claimed = (first + n * (100 if target == "bot" else 1) for n in range(1, number + 1))
    return [
        Settlement(
            Delivery(
                row=row,
                event_id=f"event-{row:08}",
                target=target,
                attempt=1,
                policy_attempt=1,
                received_at=NOON,
                pending_since=NOON,
                payload=b"",
                token=plans.FIRST_TOKEN + row,
            ),
            OK,
            Delivered(),
            NOON,
        )
        for row in claimed
    ]


CLAIM = claims.claim(
    "bot", limit=200, max_bytes=10**6, now=2 * 10**12, until=3 * 10**12, clock=0, owner=OWNER, first=plans.FIRST_TOKEN
)


def test_deliveries_are_claimed_by_indexes_alone(postgres: Cluster, history: str) -> None:
    check(postgres, history, *CLAIM)


def test_a_plan_to_claim_that_was_made_while_little_is_pending_hashes_nothing(postgres: Cluster, young: str) -> None:
    check(postgres, young, *CLAIM, scanned={"events", "deliveries", *plans.SCANNED})


@pytest.mark.parametrize("number", [1, 200])
@pytest.mark.parametrize("target", ["bot", "dwh"])
def test_a_batch_is_settled_by_indexes_alone(postgres: Cluster, history: str, number: int, target: str) -> None:
    check(postgres, history, *claims.settle(delivered(number, target), [True] * number, 0))


def test_what_is_due_is_found_by_indexes_alone(postgres: Cluster, history: str) -> None:
    check(postgres, history, claims.due(["bot", "dwh", "other"]))


def test_claims_are_given_back_by_indexes_alone(postgres: Cluster, history: str) -> None:
    lost = LostClaims(lambda: 0.0)
    lost.add(plans.FIRST_TOKEN, 10**6)
    registry = Registry("a")
    registry.registered(Tokens(1))
    check(
        postgres,
        history,
        claims.release([each.delivery for each in delivered(100, "bot")], 0),
        *lost.statements(),
        (ABANDONED, {"now": 0}),
        registry.heartbeat(),
        declare_dead(2, 0, 0),
        *registry.leave(0),
    )


def test_a_plan_that_reads_a_table_or_hashes_what_is_pending_is_found(postgres: Cluster, history: str) -> None:
    hashed = "select t not in (select target from deliveries where state = 'pending') from unnest(%(t)s::text[]) t"
    with plans.planner(postgres, history) as planner:
        for statement, expected in (
            (("select count(*) from deliveries", {}), "Seq Scan of deliveries"),
            ((hashed, {"t": Texts(["bot"])}), "hashed SubPlan"),
        ):
            found = planner.plans(statement)
            assert all(expected in plans.faults(plan) for plan in found.values()), found


def test_enrichment_reads_held_deliveries_and_its_own_events_alone(postgres: Cluster, history: str) -> None:
    check(
        postgres,
        history,
        (enrichments.HELD, (Texts(["crm"]), 50)),
        (enrichments.END_HOLD, (Numbers([400, 401]), 1795000000000)),
        (enrichments.STORED, (Numbers([400, 401]),)),
        (enrichments.BESIDE, (Texts(["event-00000400", "event-00000401"]),)),
    )
