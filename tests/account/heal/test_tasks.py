"""Tasks: a change that the feed does not have is found by their list."""

from datetime import timedelta

import pytest

from relay.account.heal import tasks
from relay.account.heal.reader import FeedReader
from relay.account.heal.tasks import changed_tasks
from relay.model.heal import HealRecord, HealState
from tests.account.heal.schedule import HOUR, MINUTE
from tests.account.heal.world import World


@pytest.fixture
def world() -> World:
    return World(seed=4)


async def changes(world: World, *, since: timedelta = timedelta(hours=1)) -> list[HealRecord]:
    return await changed_tasks(
        "crm", world._get, FeedReader(world._get), world.now() - since, world.now(), now=world.now()
    )


async def test_a_new_owner_is_found_and_what_the_feed_has_is_left_to_that(world: World) -> None:
    amo = world.amo
    task, other, third = (amo.add_task(amo.add_lead()) for _ in range(3))
    world.advance(MINUTE)
    assert await changes(world) == []
    amo.complete(other)
    amo.retext(third, "Написать")
    amo.give_task(task, amo.structure.users[1]["id"])
    world.advance(MINUTE)
    [found] = await changes(world)
    assert (found.action, found.entity_id, found.at) == ("task.update", str(task.id), found.at)
    assert int(found.at.timestamp()) == task.fields["updated_at"]
    assert found.event_id == f"task:{task.id}:{task.fields['updated_at']}"


async def test_a_change_after_the_one_that_the_feed_has_is_found(world: World) -> None:
    task = world.amo.add_task(world.amo.add_lead())
    world.advance(MINUTE)
    world.amo.complete(task)
    world.advance(MINUTE)
    world.amo.give_task(task, world.amo.structure.users[1]["id"])
    world.advance(MINUTE)
    assert len(await changes(world)) == 1
    assert await changes(world, since=timedelta()) == []


async def test_a_new_owner_right_after_the_task_was_added_is_found(world: World) -> None:
    task = world.amo.add_task(world.amo.add_lead())
    world.advance(2)
    world.amo.give_task(task, world.amo.structure.users[1]["id"])
    world.advance(MINUTE)
    assert len(await changes(world)) == 1


async def test_every_page_of_the_list_is_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_PAGE", 2)
    given = [world.amo.add_task(world.amo.add_lead()) for _ in range(5)]
    world.advance(MINUTE)
    for each in given:
        world.amo.give_task(each, world.amo.structure.users[1]["id"])
    world.advance(MINUTE)
    assert {each.entity_id for each in await changes(world)} == {str(each.id) for each in given}


@pytest.mark.parametrize("wanted", ["update_task", "responsible_task"])
async def test_a_new_owner_that_nothing_told_is_healed_with_the_task_of_now(world: World, wanted: str) -> None:
    """Whichever of the two settings the webhook has: amoCRM sends `task[update]` for both."""
    world.amo.subscriptions[0].settings = [wanted, "add_task"]
    name = {"update_task": "task.update", "responsible_task": "task.responsible"}[wanted]
    world.more = {"subscribed": frozenset({name, "task.add"})}
    task, user = world.amo.add_task(world.amo.add_lead()), world.amo.structure.users[1]["id"]
    await world.run(10 * MINUTE)
    world.outage(
        HOUR, change=lambda: task.fields["responsible_user_id"] != user and world.amo.give_task(task, user) and None
    )
    await world.run(3 * HOUR)
    [healed] = [each for each in world.healed() if each.type == "task.update"]
    assert healed.data["responsible_user_id"] == user


async def test_a_new_owner_that_a_webhook_told_is_not_healed(world: World) -> None:
    task = world.amo.add_task(world.amo.add_lead())
    await world.run(10 * MINUTE)
    world.amo.give_task(task, world.amo.structure.users[1]["id"])
    await world.run(3 * HOUR)
    assert [each.state for each in world.store.known.values() if each.action == "task.update"] == [HealState.MATCHED]
