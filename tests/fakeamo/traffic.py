"""Random changes, of every verb: what people and robots do to an account all day."""

from collections.abc import Callable
from random import Random

from tests.fakeamo.amo import FakeAmo
from tests.fakeamo.conversations import Talk
from tests.fakeamo.values import Card

WEIGHTS = {
    "add_lead": 12,
    "move": 30,
    "update": 10,
    "rename": 5,
    "give": 6,
    "add_contact": 6,
    "add_company": 2,
    "note": 6,
    "call": 4,
    "message": 5,
    "mail": 2,
    "visit": 1,
    "add_task": 4,
    "complete": 2,
    "delete_task": 1,
    "delete": 2,
    "restore": 2,
    "unsorted": 2,
}
"""Verb -> how often."""


class Traffic:
    """One change for each call; moves are the most frequent, and they come back to where they were."""

    def __init__(self, amo: FakeAmo, seed: int, *, verbs: frozenset[str] | None = None) -> None:
        self._amo = amo
        self._random = Random(seed)
        weights = {name: weight for name, weight in WEIGHTS.items() if verbs is None or name in verbs}
        self._names, self._chances = [*weights], [*weights.values()]

    def change(self) -> str:
        """Do one thing; its name."""
        (name,) = self._random.choices(self._names, self._chances)
        verbs: dict[str, Callable[[], object]] = {
            "add_lead": lambda: self._amo.add_lead(
                price=self._random.randrange(9_999), stage=self._stage(), by=self._user()
            ),
            "move": self._move,
            "update": lambda: self._amo.update(
                self._card("leads"), price=self._random.randrange(9_999), by=self._user()
            ),
            "rename": lambda: self._amo.update(self._card("contacts"), name=f"Имя {self._number()}", by=self._user()),
            "give": lambda: self._amo.give(self._card("leads", "contacts", "companies"), self._user(), by=self._user()),
            "add_contact": lambda: self._amo.add_contact(f"Контакт {self._number()}", by=self._user()),
            "add_company": lambda: self._amo.add_company(f"Компания {self._number()}", by=self._user()),
            "note": lambda: self._amo.note(
                self._card("leads", "contacts"), f"Заметка {self._number()}", by=self._user()
            ),
            "call": self._call,
            "message": self._message,
            "mail": lambda: self._amo.mail([self._card("leads")]),
            "visit": lambda: self._amo.visit(self._card("leads")),
            "add_task": lambda: self._amo.add_task(self._card("leads"), f"Задача {self._number()}", by=self._user()),
            "complete": lambda: self._amo.complete(self._card("tasks"), by=self._user()),
            "delete_task": lambda: self._amo.delete_task(self._card("tasks"), by=self._user()),
            "delete": lambda: self._amo.delete(self._card("leads", "contacts"), by=self._user()),
            "restore": self._restore,
            "unsorted": self._unsorted,
        }
        verbs[name]()
        return name

    # ----

    def _card(self, *kinds: str) -> Card:
        """A live one of these kinds; a new one if there is none."""
        kind = self._random.choice(kinds)
        live = [card for card in self._amo.cards[kind].values() if card.state == "live"]
        if live:
            return self._random.choice(live)
        if kind == "tasks":
            return self._amo.add_task(self._card("leads"))
        return {"leads": self._amo.add_lead, "contacts": self._amo.add_contact, "companies": self._amo.add_company}[
            kind
        ]()

    def _move(self) -> None:
        lead = self._card("leads")
        stages = [each for each in self._stages() if each != lead.fields["status_id"]]
        self._amo.move(lead, self._random.choice(stages), by=self._user())

    def _call(self) -> None:
        self._amo.call(self._card("contacts"), lead=self._card("leads"), incoming=self._random.random() < 0.7)

    def _message(self) -> None:
        contact = self._card("contacts")
        self._amo.message(
            contact, f"Текст {self._number()}", lead=self._card("leads"), incoming=self._random.random() < 0.7
        )
        talk: Talk = self._random.choice([*self._amo.talks.values()])
        if self._random.random() < 0.1:
            self._amo.close(talk)

    def _restore(self) -> None:
        binned = [
            card for kind in ("leads", "contacts") for card in self._amo.cards[kind].values() if card.state == "bin"
        ]
        if binned:
            self._amo.restore(self._random.choice(binned), by=self._user())

    def _unsorted(self) -> None:
        waiting = [*self._amo.incoming.values()]
        if waiting and self._random.random() < 0.6:
            settle = self._random.choice([self._amo.accept, self._amo.decline])
            settle(self._random.choice(waiting), by=self._user())
        else:
            self._amo.unsorted(
                f"Заявка {self._number()}", category=self._random.choice(["forms", "mail", "sip", "chats"])
            )

    def _stages(self) -> list[int]:
        return [stage.id for each in self._amo.structure.pipelines for stage in each.stages if stage.type == 0]

    def _stage(self) -> int:
        return self._random.choice([each for each in self._stages() if each not in (142, 143)])

    def _user(self) -> int:
        return self._random.choice([0, *(user["id"] for user in self._amo.structure.users)])

    def _number(self) -> int:
        return self._random.randrange(1_000_000)
