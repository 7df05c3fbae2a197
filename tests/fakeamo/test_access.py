"""Who may ask the double, how often, and what goes wrong: tokens, limits, faults, unpaid and renamed accounts."""

import base64
import json
from collections.abc import Callable

import pytest

from tests.fakeamo import Ending, FakeAmo, FakeAnswer, VirtualClock
from tests.fakeamo.faults import BEFORE, KINDS
from tests.fakeamo.tokens import Integration

DAY = 86_400


def grant(amo: FakeAmo, by: Integration, **fields: str) -> FakeAnswer:
    body = {"client_id": by.client_id, "client_secret": by.client_secret, "redirect_uri": by.redirect_uri, **fields}
    return amo.request("POST", "/oauth2/access_token", {}, json.dumps(body).encode())


def refresh(amo: FakeAmo, by: Integration, token: str, **fields: str) -> FakeAnswer:
    return grant(amo, by, grant_type="refresh_token", refresh_token=token, **fields)


def authorized(amo: FakeAmo) -> tuple[Integration, dict[str, str]]:
    integration = amo.tokens.add_integration()
    code = amo.tokens.authorize(integration.client_id)
    answer = grant(amo, integration, grant_type="authorization_code", code=code)
    assert answer.status == 200, answer.body
    return integration, answer.json()


def asks(amo: FakeAmo, token: str) -> int:
    return amo.request("GET", "/api/v4/account", {"authorization": f"Bearer {token}"}).status


# ---- tokens


@pytest.mark.parametrize("header", ["", "Bearer ", "Bearer nonsense", "Basic dXNlcjpwdw=="])
def test_a_request_without_a_token_is_401_as_a_problem(amo: FakeAmo, header: str) -> None:
    answer = amo.request("GET", "/api/v4/account", {"Authorization": header})
    assert (answer.status, answer.headers["Content-Type"]) == (401, "application/problem+json")


def test_a_long_lived_token_tells_its_end_and_ends_then(amo: FakeAmo, clock: VirtualClock) -> None:
    token = amo.tokens.long_lived(days=2)
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["exp"] == int(clock()) + 2 * DAY
    assert asks(amo, token) == 200
    clock.advance(2 * DAY)
    assert asks(amo, token) == 401


def test_a_revoked_token_is_401(amo: FakeAmo) -> None:
    amo.tokens.revoke(amo.token)
    assert amo.request("GET", "/api/v4/account").status == 401


def test_a_code_works_once_and_for_twenty_minutes(amo: FakeAmo, clock: VirtualClock) -> None:
    integration, given = authorized(amo)
    assert given["token_type"] == "Bearer"
    assert given["expires_in"] == DAY
    assert asks(amo, given["access_token"]) == 200
    code = amo.tokens.authorize(integration.client_id)
    clock.advance(1_200)
    assert grant(amo, integration, grant_type="authorization_code", code=code).status == 401


def test_a_refresh_token_works_once(amo: FakeAmo) -> None:
    integration, given = authorized(amo)
    second = refresh(amo, integration, given["refresh_token"])
    assert second.status == 200
    again = refresh(amo, integration, given["refresh_token"])
    assert (again.status, again.json()["hint"]) == (401, "Token has been revoked")
    assert refresh(amo, integration, second.json()["refresh_token"]).status == 200
    assert amo.tokens.refreshes == [(1, 200), (1, 401), (2, 200)]


def test_an_access_token_lives_on_after_its_refresh_until_its_end(amo: FakeAmo, clock: VirtualClock) -> None:
    amo.tokens.access_lives = 600
    integration, given = authorized(amo)
    refresh(amo, integration, given["refresh_token"])
    assert asks(amo, given["access_token"]) == 200
    clock.advance(600)
    assert asks(amo, given["access_token"]) == 401


def test_a_refresh_token_lives_three_months(amo: FakeAmo, clock: VirtualClock) -> None:
    integration, given = authorized(amo)
    clock.advance(90 * DAY)
    assert refresh(amo, integration, given["refresh_token"]).status == 401


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"redirect_uri": "https://other.example/"}, 400),
        ({"client_secret": "wrong"}, 401),
        ({"client_id": "unknown"}, 401),
        ({"grant_type": "password"}, 400),
        ({"refresh_token": "def50200nothing"}, 401),
    ],
)
def test_a_wrong_refresh_is_refused_and_costs_nothing(amo: FakeAmo, fields: dict[str, str], status: int) -> None:
    integration, given = authorized(amo)
    body = {"grant_type": "refresh_token", "refresh_token": given["refresh_token"], **fields}
    assert grant(amo, integration, **body).status == status
    assert refresh(amo, integration, given["refresh_token"]).status == 200


def test_a_refresh_whose_answer_is_lost_has_used_the_token_up(amo: FakeAmo) -> None:
    integration, given = authorized(amo)
    amo.faults.plan("reset", "/oauth2/")
    assert refresh(amo, integration, given["refresh_token"]).ending is Ending.RESET
    assert refresh(amo, integration, given["refresh_token"]).status == 401


def test_a_refresh_that_was_refused_with_500_has_not(amo: FakeAmo) -> None:
    integration, given = authorized(amo)
    amo.faults.plan("500", "/oauth2/")
    assert refresh(amo, integration, given["refresh_token"]).status == 500
    assert refresh(amo, integration, given["refresh_token"]).status == 200


# ---- limits


def test_seven_requests_a_second_are_the_most(amo: FakeAmo, clock: VirtualClock) -> None:
    found = [amo.request("GET", "/api/v4/account") for _ in range(8)]
    assert [answer.status for answer in found] == [200] * 7 + [429]
    assert found[-1].headers["Content-Type"].startswith("text/html")
    assert found[-1].body.startswith(b"<html>")
    clock.advance(1)
    assert amo.request("GET", "/api/v4/account").status == 200
    assert amo.limiter.peak == 8


def test_kommo_may_say_429_as_json(amo: FakeAmo) -> None:
    amo.limiter.as_json = True
    found = [amo.request("GET", "/api/v4/account") for _ in range(8)][-1]
    assert (found.status, found.json()["retry_after"]) == (429, 300)


def test_who_goes_on_is_blocked_until_support_lifts_it(amo: FakeAmo, clock: VirtualClock) -> None:
    for _ in range(30):
        amo.request("GET", "/api/v4/account")
    answer = amo.request("GET", "/api/v4/account")
    assert answer.status == 403
    assert answer.body.startswith(b"<html>")
    clock.advance(30 * DAY)
    assert amo.request("GET", "/api/v4/account").status == 403
    assert amo.limiter.after_block == 4
    amo.limiter.unblock()
    assert amo.request("GET", "/api/v4/account").status == 200


# ---- faults


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_strikes_as_often_as_it_was_planned(amo: FakeAmo, kind: str) -> None:
    right = amo.request("GET", "/api/v4/account")
    amo.faults.plan(kind, "/api/v4/account", times=2)
    assert amo.request("GET", "/api/v4/leads/pipelines").status == 200
    for _ in range(2):
        answer = amo.request("GET", "/api/v4/account")
        assert (answer.status, answer.body, answer.ending, answer.delay) != (
            right.status,
            right.body,
            Ending.WHOLE,
            0.0,
        )
    assert amo.request("GET", "/api/v4/account").json() == right.json()
    assert amo.faults.hit == 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_after_the_fact_leaves_the_request_carried_out(amo: FakeAmo, kind: str) -> None:
    amo.faults.plan(kind, method="POST")
    body = json.dumps({"destination": "http://127.0.0.1/h", "settings": ["add_lead"]}).encode()
    amo.request("POST", "/api/v4/webhooks", None, body)
    assert len(amo.subscriptions) == (0 if kind in BEFORE else 1)


def test_a_share_of_requests_goes_wrong_by_chance(amo: FakeAmo, clock: VirtualClock) -> None:
    amo.faults.share = 0.3
    for _ in range(200):
        clock.advance(1)
        amo.request("GET", "/api/v4/account")
    assert 30 < amo.faults.hit < 90


def test_three_kinds_of_403_differ_by_their_bodies(amo: FakeAmo) -> None:
    bodies = []
    for kind in ("no rights", "not my address", "blocked"):
        amo.faults.plan(kind)
        answer = amo.request("GET", "/api/v4/account")
        assert answer.status == 403
        bodies.append((answer.headers["Content-Type"], b"113" in answer.body))
    assert bodies == [
        ("application/problem+json", False),
        ("application/problem+json", True),
        ("text/html; charset=UTF-8", False),
    ]


# ---- the account


def test_an_unpaid_account_refuses_events_and_writes_at_once_and_reads_later(amo: FakeAmo, clock: VirtualClock) -> None:
    amo.structure.unpaid_since = clock()
    paths = ("events", "events/types", "leads", "account")
    assert [amo.request("GET", f"/api/v4/{path}").status for path in paths] == [402, 402, 204, 200]
    assert amo.request("POST", "/api/v4/webhooks", None, b"{}").status == 402
    clock.advance(30 * DAY)
    assert [amo.request("GET", f"/api/v4/{path}").status for path in paths] == [402] * 4


def test_a_renamed_account_is_404_at_its_old_host_and_tells_the_new_one(amo: FakeAmo) -> None:
    amo.structure.subdomain, amo.gone = "renamed", True
    assert amo.request("GET", "/api/v4/account").status == 404
    assert amo.request("POST", "/oauth2/access_token").status == 404
    found = amo.request("GET", "/oauth2/account/subdomain").json()
    assert (found["subdomain"], found["domain"]) == ("renamed", "renamed.amocrm.ru")


def test_every_answer_has_a_date_of_amocrms_clock_and_a_request_id(amo: FakeAmo, clock: VirtualClock) -> None:
    found = [amo.request("GET", path) for path in ("/api/v4/account", "/api/v4/leads", "/nothing")]
    assert {answer.headers["Date"] for answer in found} == {"Sat, 11 Jul 2026 09:26:40 GMT"}
    assert len({answer.headers["X-Request-Id"] for answer in found}) == 3
    amo.quirks.date_ahead = -100
    assert amo.request("GET", "/nothing").headers["Date"] == "Sat, 11 Jul 2026 09:25:00 GMT"


def test_requests_are_counted_with_their_answers(new_amo: Callable[..., FakeAmo], clock: VirtualClock) -> None:
    amo = new_amo()
    amo.request("GET", "/api/v4/leads?limit=5")
    assert amo.requests == [(clock(), "GET", "/api/v4/leads?limit=5", 204)]
