"""A seed -> a schedule of changes, outages, faults and kills, played to its end: until everything has settled."""

from collections.abc import Callable
from random import Random
from typing import Any

from relay.model.accounts import Heal, HealMode
from tests.account.heal.world import World

MINUTE, HOUR = 60.0, 3600.0
SETTLED = 2.5 * HOUR
"""After the last change: the longest time to settle, and two scans."""


def heal(**settings: Any) -> Heal:
    return Heal(mode=HealMode.ON, most=100_000, **settings)


class Changes:
    """What people and robots do to an account, by chance."""

    def __init__(self, world: World, random: Random) -> None:
        self._world, self._random = world, random
        amo = world.amo
        self.stages = [amo.structure.stage(name) for name in ("Первичный контакт", "Переговоры", "Оффер")]
        self._other = [amo.structure.stage(name, "Повторные") for name in ("Новая", "Счёт")]
        self._leads = [amo.add_lead(stage=self.stages[0]) for _ in range(2)]
        self._contact = amo.add_contact()
        self._company = amo.add_company()
        self._customer = None if amo.quirks.kommo else amo.add_customer()
        self._tasks: list[Any] = []
        self._binned: list[Any] = []
        self._kinds: list[Callable[[], Any]] = [
            self._move, self._move, self._to_and_fro, self._add, self._note, self._own, self._own_contact,
            self._update, self._update_contact, self._task, self._message, self._delete, self._restore,
            self._move_customer, self._own_task, self._answer, self._close, self._merge, self._come, self._come,
            self._leave, self._leave,
        ]  # fmt: skip

    def one(self) -> None:
        """One change."""
        self._random.choice(self._kinds)()

    def _lead(self) -> Any:
        return self._random.choice(self._leads)

    def _move(self) -> None:
        lead = self._lead()
        others = [each for each in [*self.stages, *self._other] if each.id != lead.fields["status_id"]]
        self._world.amo.move(lead, self._random.choice(others))

    def _to_and_fro(self) -> None:
        """A→B, B→A, A→B within seconds."""
        lead, (one, two) = self._lead(), self._random.sample(self.stages, 2)
        for stage in (one, two, one, two):
            if lead.fields["status_id"] != stage.id:
                self._world.amo.move(lead, stage)
                self._world.advance(self._random.choice([1, 7, 20]))

    def _add(self) -> None:
        self._leads.append(self._world.amo.add_lead(stage=self._random.choice(self.stages)))

    def _note(self) -> None:
        self._world.amo.note(self._random.choice([self._lead(), self._contact, self._company]))

    def _own(self) -> None:
        self._give(self._lead())

    def _own_contact(self) -> None:
        self._give(self._contact)

    def _give(self, card: Any) -> None:
        users = [each["id"] for each in self._world.amo.structure.users]
        users.remove(card.fields["responsible_user_id"])
        self._world.amo.give(card, self._random.choice(users))

    def _update(self) -> None:
        self._world.amo.update(self._lead(), price=self._random.randrange(10**6))

    def _update_contact(self) -> None:
        self._world.amo.update(self._contact, name=f"Контакт {self._random.randrange(100)}")

    def _task(self) -> None:
        task = self._world.amo.add_task(self._lead())
        if self._random.random() < 0.3:
            self._world.advance(30)
            self._world.amo.complete(task)
        if self._random.random() < 0.2:
            self._world.advance(30)
            self._world.amo.delete_task(task)
        else:
            self._tasks.append(task)

    def _own_task(self) -> None:
        """No event tells of it."""
        if self._tasks:
            task = self._random.choice(self._tasks)
            users = [each["id"] for each in self._world.amo.structure.users]
            users.remove(task.fields["responsible_user_id"])
            self._world.amo.give_task(task, self._random.choice(users))

    def _move_customer(self) -> None:
        if self._customer:
            statuses = [each["id"] for each in self._world.amo.structure.customer_statuses]
            statuses.remove(self._customer.fields["status_id"])
            self._world.amo.move_customer(self._customer, self._random.choice(statuses))

    def _answer(self) -> None:
        for talk in self._world.amo.talks.values():
            self._world.amo.answer_talk(talk)

    def _close(self) -> None:
        for talk in self._world.amo.talks.values():
            self._world.amo.close(talk)

    def _merge(self) -> None:
        """The one that is lost was not told of: what webhooks of it may say is not known."""
        card = self._world.amo.new_card("contacts", "Двойник", 0)
        self._world.amo.merge(self._contact, card)

    def _come(self) -> None:
        self._world.amo.unsorted()

    def _leave(self) -> None:
        """Take an incoming lead that a look has seen: of one that came and left between two looks nothing is known."""
        seen = {each.key for each in self._world.store.known.values()}
        items = [each for uid, each in self._world.amo.incoming.items() if f"unsorted.add:{uid}" in seen]
        if items:
            item, amo = self._random.choice(items), self._world.amo
            take = self._random.choice([amo.accept, amo.decline, lambda each: amo.link_incoming(each, self._lead())])
            take(item)

    def _message(self) -> None:
        self._world.amo.message(self._contact, incoming=self._random.random() < 0.7)

    def _delete(self) -> None:
        if len(self._leads) > 1:
            lead = self._leads.pop()
            self._binned.append(lead)
            self._world.amo.delete(lead)

    def _restore(self) -> None:
        if self._binned:
            lead = self._binned.pop()
            self._world.amo.restore(lead)
            self._leads.append(lead)


async def play(
    seed: int,
    *,
    settled: float = SETTLED,
    every: float = 15 * MINUTE,
    by_own_clock: bool = False,
    knows_offset: bool = True,
    lost: float = 0.0,
    **quirks: Any,
) -> World:
    """Play the schedule of a seed; it ends when every change is old enough to have settled."""
    random = Random(seed)
    world = World(
        seed=seed,
        skew=random.choice([-6.0, 0.0, 0.0, 6.0]),
        error=random.uniform(-0.9, 0.9),
        by_own_clock=by_own_clock,
        knows_offset=knows_offset,
        heal=heal(proxied=random.random() < 0.7),
        quirks={"disorder": random.choice([0.0, 1.0, 3.0]), "alpha": random.random() < 0.5, **quirks},
    )
    changes = Changes(world, random)
    stages = random.choice([changes.stages, changes.stages[2:]])
    for query in random.sample(["try=1", "try=2", "x=%20"], random.randrange(4)):
        world.trigger(random.choice(stages), query, "status")
    world.amo.faults.share = random.choice([0.0, 0.0, 0.02])
    await world.run(30 * MINUTE)
    world.amo.quirks.lost = lost  # not before: what was lost before the first webhook that came stays so
    for _ in range(random.randrange(1, 4)):
        await _calm(world, changes, random)
        _outage(world, changes, random)
        if random.random() < 0.5:
            world.store.crash_at = world.store.commits + random.randrange(1, 12)
    await _calm(world, changes, random)
    world.amo.faults.clear()
    await world.run(settled, every=every)
    return world


async def _calm(world: World, changes: Changes, random: Random) -> None:
    for _ in range(random.randrange(2, 8)):
        changes.one()
        await world.run(random.choice([1.0, 40.0, 5 * MINUTE, 20 * MINUTE]))


def _outage(world: World, changes: Changes, random: Random) -> None:
    """Nobody there, a relay that cannot commit, or a proxy in front of none."""
    how = random.choice([None, None, 503, 502])
    if how == 502 and not world.heal.proxied:
        how = None
    length = random.choice([2 * MINUTE, 30 * MINUTE, 3 * HOUR])
    world.outage(length, answer=how, change=changes.one)
