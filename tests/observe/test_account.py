"""What is counted, shown and logged of amoCRM's own API; without accounts, nothing."""

from datetime import UTC, datetime

from prometheus_client.exposition import generate_latest

from relay.model.subscription import SubscriptionState
from relay.signals import ConfigActivated
from relay.signals.account import (
    AccountAsked,
    AccountBlocked,
    AccountOutcome,
    AccountRenamed,
    AccountTokenEnds,
    AccountTokenRead,
    NameOutdated,
    NamesNotRefreshed,
    RoutesResumed,
    RouteStopped,
    SubscriptionChanged,
    SubscriptionReenabled,
)
from tests.observe.conftest import Observed

ENDS = datetime(2026, 12, 1, tzinfo=UTC)


def activated(*accounts: str) -> ConfigActivated:
    return ConfigActivated(sources=["crm"], targets=["bot"], routes=["all"], accounts=accounts)


def test_without_accounts_their_metrics_are_not_even_named() -> None:
    observed = Observed()
    observed.emit(activated())
    assert b"account" not in generate_latest(observed.registry).replace(b"refused_account", b"")


def test_requests_are_counted_from_zero_by_how_they_ended() -> None:
    observed = Observed()
    observed.emit(activated("main"))
    name = "relay_account_requests_total"
    assert [observed.value(name, account="main", outcome=each) for each in AccountOutcome] == [0] * len(AccountOutcome)
    observed.emit(AccountAsked(account="main", outcome=AccountOutcome.LIMITED))
    assert observed.value(name, account="main", outcome="limited") == 1


def test_the_end_of_a_token_is_shown_if_it_is_known() -> None:
    observed = Observed()
    observed.emit(AccountTokenRead(account="main", expires_at=None))
    observed.emit(AccountTokenRead(account="other", expires_at=ENDS))
    name = "relay_account_token_expires_timestamp_seconds"
    assert observed.value(name, account="main") is None
    assert observed.value(name, account="other") == ENDS.timestamp()


def test_a_block_and_a_token_that_ends_are_logged_with_what_to_do() -> None:
    observed = Observed()
    observed.emit(AccountBlocked(account="main", detail="GET /api/v4/leads: answered 403"))
    observed.emit(AccountTokenEnds(account="main", days=7, expires_at=ENDS))
    observed.emit(AccountTokenEnds(account="main", days=0, expires_at=ENDS))
    blocked = 'amoCRM blocks the account\'s API account=main detail="GET /api/v4/leads: answered 403"'
    at, advice = "2026-12-01T00:00:00.000Z", 'next="make another in the integration\'s settings, and reload"'
    assert [line.partition(" ")[2].strip() for line in observed.lines()] == [
        f'error {blocked} next="ask amoCRM\'s support, then: relay account check"',
        f"warn  the account's token ends soon account=main days=7 at={at} {advice}",
        f"error the account's token has ended account=main at={at} {advice}",
    ]


def test_an_account_that_was_renamed_is_logged_with_its_new_host() -> None:
    observed = Observed()
    observed.emit(AccountRenamed(account="main", host="new.amocrm.ru"))
    [line] = observed.lines()
    advice = 'next="write host: new.amocrm.ru in accounts.main, and reload"'
    assert line.endswith(f"error the account was renamed account=main host=new.amocrm.ru {advice}")


def test_the_state_of_a_webhook_in_amocrm_is_logged_as_loud_as_it_is_bad() -> None:
    observed = Observed()
    before = None
    for state, detail in (
        (SubscriptionState.OK, None),
        (SubscriptionState.DISABLED, "it is switched off"),
        (SubscriptionState.API_AWAY, "no answer"),
    ):
        observed.emit(SubscriptionChanged(source="crm", state=state, before=before, detail=detail))
        before = state
    observed.emit(SubscriptionReenabled(source="crm"))
    assert [line.partition(" ")[2].strip() for line in observed.lines()] == [
        "info  the webhook in amoCRM source=crm state=ok",
        'error the webhook in amoCRM source=crm state=disabled before=ok detail="it is switched off"',
        'warn  the webhook in amoCRM source=crm state=api_away before=disabled detail="no answer"',
        "warn  the webhook in amoCRM was switched on again by the guard source=crm",
    ]


def test_a_route_that_is_stopped_is_shown_until_it_is_resumed() -> None:
    observed = Observed()
    assert observed.value("relay_route_stopped", route="offers") is None
    observed.emit(RouteStopped(route="offers", why="no such stage"))
    assert observed.value("relay_route_stopped", route="offers") == 1
    observed.emit(RoutesResumed(routes=["offers"], deliveries=3))
    assert observed.value("relay_route_stopped", route="offers") == 0
    assert [line.partition(" ")[2].strip() for line in observed.lines()] == [
        'error route stopped: what it may take waits route=offers why="no such stage" next="relay names"',
        "info  routes resumed routes=offers deliveries=3",
    ]


def test_names_that_are_outdated_or_not_refreshed_are_logged() -> None:
    observed = Observed()
    observed.emit(NameOutdated(detail="routes.yaml:7:3  routes[0].match.stage: was renamed"))
    observed.emit(NamesNotRefreshed(account="main", detail="no answer within 20 s"))
    assert [line.partition(" ")[2].strip() for line in observed.lines()] == [
        'warn  a name in the routes is outdated detail="routes.yaml:7:3  routes[0].match.stage: was renamed"',
        'warn  names not refreshed account=main detail="no answer within 20 s"',
    ]
