"""What `relay demo` posts and goes on to: a webhook every two seconds, a target that is down one minute in two."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle

import aiohttp
from rich.console import Console

from relay.amocrm import form, sample_bodies
from relay.cli.amocrm_post import headers
from relay.cli.sink import Behaviour

WEBHOOK_INTERVAL = 2.0  # seconds
WEBHOOKS_A_PHASE = 30  # a minute


@dataclass(frozen=True, slots=True, kw_only=True)
class DownAtTimes(Behaviour):
    """503 as a Behaviour says until it is switched for the first time; then to every request while it is `down`.

    Every probe of an open circuit may be the first request of its event: with both, no circuit would close again.
    """

    switched: asyncio.Event = field(default_factory=asyncio.Event)
    down: asyncio.Event = field(default_factory=asyncio.Event)

    def answer(self, nth: int) -> int:
        """The status for the `nth` request of an event."""
        if self.switched.is_set():
            return 503 if self.down.is_set() else 200
        return Behaviour.answer(self, nth)

    def switch(self, *, down: bool) -> bool:
        """Take it down or up; False if it was so already."""
        self.switched.set()
        was_down = self.down.is_set()
        (self.down.set if down else self.down.clear)()
        return was_down is not down


async def post(session: aiohttp.ClientSession, hook: str, event_type: str) -> None:
    """Post a webhook as amoCRM does."""
    async with session.post(hook, data=form.encode(sample_bodies.body(event_type)), headers=headers()) as answer:
        answer.raise_for_status()


async def go_on(hook: str, event_type: str, target: DownAtTimes, console: Console) -> None:
    """Post, and take the target down and up, until it is cancelled."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        for down in cycle((False, True)):
            if target.switch(down=down):
                console.print("[red]The warehouse is down.[/]" if down else "[green]The warehouse is up again.[/]")
            for _ in range(WEBHOOKS_A_PHASE):
                with suppress(aiohttp.ClientError):  # amoCRM would post it again
                    await post(session, hook, event_type)
                await asyncio.sleep(WEBHOOK_INTERVAL)
