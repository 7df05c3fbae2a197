"""`/livez` and `/readyz`: alive, and able to commit."""

from tests.admin.conftest import ADMIN, BEARER, Relay, hang


async def test_it_lives_whatever_the_store_says(relay: Relay) -> None:
    relay.reason = "disk full"
    answer = await (await relay.client()).get("/livez")
    assert (answer.status, await answer.text()) == (200, "ok\n")


async def test_it_is_ready_as_long_as_it_can_commit(relay: Relay) -> None:
    client = await relay.client()
    answer = await client.get("/readyz")
    assert (answer.status, await answer.text()) == (200, "ready\n")
    relay.reason = "disk full"
    answer = await client.get("/readyz")
    assert (answer.status, await answer.text()) == (503, "disk full\n")


async def test_it_is_not_ready_if_nobody_can_tell(relay: Relay) -> None:
    answer = await (await relay.client(unready=hang)).get("/readyz")
    assert (answer.status, await answer.text()) == (503, "the store does not answer\n")


async def test_the_store_may_be_away_while_the_relay_is_ready(relay: Relay) -> None:
    relay.store_reason = "spooling"
    client = await relay.client(remark=lambda: "spooling since noon")
    answer = await client.get("/readyz")
    assert (answer.status, await answer.text()) == (200, "ready; spooling since noon\n")
    answer = await client.get("/readyz/store")
    assert (answer.status, await answer.text()) == (503, "spooling\n")


async def test_why_the_store_is_away_is_for_those_with_the_token(relay: Relay) -> None:
    relay.store_reason = "spooling: postgresql://db1 is away"
    client = await relay.client(bearers=ADMIN)
    answer = await client.get("/readyz/store")
    assert (answer.status, await answer.text()) == (503, "not ready\n")
    answer = await client.get("/readyz/store", headers=BEARER)
    assert await answer.text() == "spooling: postgresql://db1 is away\n"
