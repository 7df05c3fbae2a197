"""Orders from outside the process: POST /fakeamo/move {"lead": "leads/1001", "stage": "Продажи/Оффер"}.

Cards are `leads/1001`, talks `talks/1002`, incoming leads `unsorted/<uid>`; a stage is its id or its names. GET or POST
/fakeamo/rows, posts, requests and state read.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import orjson

from tests.fakeamo.amo import FakeAmo
from tests.fakeamo.conversations import Talk
from tests.fakeamo.incoming import Incoming
from tests.fakeamo.traffic import Traffic
from tests.fakeamo.values import Card, Json, Mutation

VERBS = frozenset(
    {
        *(
            "add_lead",
            "move",
            "update",
            "give",
            "delete",
            "restore",
            "purge",
            "link",
            "merge",
            "add_contact",
            "add_company",
        ),
        *(
            "add_customer",
            "add_task",
            "complete",
            "retext",
            "postpone",
            "give_task",
            "delete_task",
            "note",
            "call",
            "visit",
        ),
        *("mail", "message", "close", "unsorted", "accept", "decline", "link_incoming"),
    }
)
"""Methods of FakeAmo that change the account."""


class Orders:
    def __init__(self, amo: FakeAmo) -> None:
        self._amo = amo
        self._orders: dict[str, Callable[..., Json]] = {
            "rows": lambda: [asdict(row) for row in amo.rows()],
            "posts": self._posts,
            "requests": lambda: amo.requests,
            "state": self._state,
            "advance": lambda seconds: amo.clock.advance(seconds),
            "subscribe": lambda destination, settings: self._told(amo.subscribe(destination, settings)),
            "trigger": self._trigger,
            "switch_off": lambda destination: amo.switch_off(destination),
            "switch_on": lambda destination: amo.switch_on(destination),
            "rename_stage": self._rename_stage,
            "fault": lambda **fault: amo.faults.plan(**fault),
            "faults": self._faults,
            "quirk": self._quirk,
            "unblock": lambda: amo.limiter.unblock(),
            "pay": lambda paid=True: setattr(amo.structure, "unpaid_since", None if paid else amo.clock()),
            "revoke": lambda token=None: amo.tokens.revoke(token or amo.token),
            "integration": lambda **more: asdict(amo.tokens.add_integration(**more)),
            "authorize": lambda client_id: amo.tokens.authorize(client_id),
            "traffic": self._traffic,
        }

    def carried_out(self, name: str, body: bytes) -> Json:
        """What came of an order; LookupError, TypeError or ValueError say why it could not be."""
        arguments = {key: self._meant(key, value) for key, value in (orjson.loads(body) if body else {}).items()}
        if name in VERBS:
            return self._told(getattr(self._amo, name)(**arguments))
        if name not in self._orders:
            raise LookupError(f"no order {name!r}; there are {', '.join(sorted({*VERBS, *self._orders}))}")
        return self._told(self._orders[name](**arguments))

    # ---- JSON -> arguments

    def _meant(self, key: str, value: Json) -> Any:
        if key == "stage" and isinstance(value, str):
            pipeline, _, stage = value.rpartition("/")
            return self._amo.structure.stage(stage, **({"pipeline": pipeline} if pipeline else {}))
        if key == "leads":
            return [self._meant("lead", each) for each in value]
        if key == "fields":
            return {int(field): text for field, text in value.items()}
        if isinstance(value, str) and (found := re.fullmatch(r"(\w+)/(\w+)", value)):
            return self._found(*found.groups()) or value
        return value

    def _found(self, kind: str, number: str) -> Card | Talk | Incoming | None:
        if kind in self._amo.cards:
            return self._amo.card(kind, int(number))
        if kind == "talks":
            return self._amo.talks[int(number)]
        return self._amo.incoming[number] if kind == "unsorted" else None

    # ---- results -> JSON

    def _told(self, result: object) -> Json:
        match result:
            case Card():
                return {"card": f"{result.kind}/{result.id}", "fields": result.fields, "state": result.state}
            case Incoming():
                return {"incoming": f"unsorted/{result.uid}", "lead": f"leads/{result.lead.id}"}
            case Mutation():
                rows = [asdict(row) for row in result.rows]
                return {"number": result.number, "events": [event.id for event in result.events], "rows": rows}
            case Mapping() | list() | str() | int() | float() | None:
                return result
        return str(result)

    def _posts(self) -> Json:
        return [
            {
                "number": post.number,
                "destination": post.destination,
                "body": post.body.decode(),
                "state": post.state,
                "answers": post.answers,
                "rows": [asdict(row) for row in post.rows],
            }
            for post in self._amo.posts.all
        ]

    def _state(self) -> Json:
        amo = self._amo
        limiter = {name: getattr(amo.limiter, name) for name in ("peak", "requests", "after_block", "blocked")}
        stages = {f"{each.name}/{stage.name}": stage.id for each in amo.structure.pipelines for stage in each.stages}
        webhooks = [each.document(amo.structure.id) | {"by": each.switched_off_by} for each in amo.subscriptions]
        found = {"now": amo.clock(), "token": amo.token, "webhooks": webhooks, "limiter": limiter, "stages": stages}
        return found | {"mutations": len(amo.log), "refreshes": amo.tokens.refreshes, "due_at": amo.posts.next_at()}

    # ---- orders that take more than a line

    def _trigger(self, stage: Any, destination: str, on: list[str]) -> None:
        self._amo.add_trigger(stage if isinstance(stage, int) else stage.id, destination, *on)

    def _rename_stage(self, stage: Any, name: str) -> None:
        stage.name = name

    def _faults(self, share: float) -> None:
        self._amo.faults.share = share

    def _quirk(self, **quirks: Any) -> None:
        for name, value in quirks.items():
            if not hasattr(self._amo.quirks, name):
                raise LookupError(f"no quirk {name!r}")
            setattr(self._amo.quirks, name, value)

    def _traffic(self, seed: int = 0, times: int = 1) -> list[str]:
        traffic = Traffic(self._amo, seed)
        return [traffic.change() for _ in range(times)]
