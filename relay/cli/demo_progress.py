"""What `relay demo` has seen so far: a line for each webhook and attempt, and their numbers."""

import asyncio
from dataclasses import dataclass, field

from rich.console import Console
from rich.text import Text

from relay.model import Dead, Delivered, RetryAt
from relay.signals import Attempted, Signal, WebhookStored


@dataclass
class Progress:
    """Count what happened so far, and print a line for each webhook and attempt."""

    console: Console
    webhooks: int = 0
    planned: int = 0
    delivered: int = 0
    retried: int = 0
    dead: int = 0
    last_id: str = ""
    quiet: bool = False
    types: dict[str, str] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, signal: Signal) -> None:
        """Take one; nothing is printed once it is `quiet`."""
        if self.quiet:
            return
        match signal:
            case WebhookStored():
                self._stored(signal)
            case Attempted():
                self._attempted(signal)
            case _:
                return
        self.changed.set()

    def _stored(self, stored: WebhookStored) -> None:
        self.webhooks += 1
        self.planned += stored.deliveries
        for each in stored.routed:
            event, type_ = each.event, "unparsed" if each.raw else each.event.type
            self.types[event.id] = type_
            self.last_id = event.id
            took = stored.took.total_seconds() * 1000
            self._line("amoCRM", type_, "cyan", f"stored for {stored.deliveries}, 200 in {took:.0f} ms")

    def _attempted(self, attempted: Attempted) -> None:
        delivery, outcome = attempted.delivery, attempted.outcome
        text = f"attempt {delivery.attempt}, {'no answer' if outcome.status is None else outcome.status}"
        match attempted.verdict:
            case Delivered():
                self.delivered += 1
                self.retried += delivery.attempt > 1
                self._line(delivery.target, self.types[delivery.event_id], "green", f"{text}: delivered")
            case RetryAt(due_at):
                pause = (due_at - outcome.started_at).total_seconds()
                self._line(delivery.target, self.types[delivery.event_id], "yellow", f"{text}: again in {pause:.1f} s")
            case Dead(why):
                self.dead += 1
                self._line(delivery.target, self.types[delivery.event_id], "red", f"{text}: dead, {why}")

    def _line(self, who: str, what: str, colour: str, text: str) -> None:
        way = "amoCRM ─▶ relay" if who == "amoCRM" else f"          relay ─▶ {who}"
        self.console.print(Text.assemble(f"  {way:<30}", (f"{what:<17}", "bold"), (text, colour)))

    async def settled(self) -> None:
        """Wait until every delivery is delivered or dead."""
        while self.delivered + self.dead < self.planned:
            self.changed.clear()
            await self.changed.wait()
