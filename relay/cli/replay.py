"""`relay replay`: deliveries that are over or wait, or events that no route took -> deliveries that are due."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click

from relay.amocrm import events
from relay.cli import NotDone
from relay.cli.filters import conditions, doubts, filtered, named, pages, state_option
from relay.cli.options import act, asynchronous, config_option, load_to_look, store_option, targets_now, visiting
from relay.cli.output import cell, put, table
from relay.cli.values import rate
from relay.model import Health, State
from relay.printable import printable
from relay.store.contract import Archive, EventRecord, Filter

PAGE = 100


@click.command("replay")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@state_option(
    *State, text="dead (unless said), delivered, or pending: what waits for a later attempt; may be repeated."
)
@filtered
@click.option("--all-dead", is_flag=True, help="Every dead delivery there is.")
@click.option("--unrouted", is_flag=True, help="Events that no route took, through today's routes.")
@click.option("--rate", type=rate, metavar="RATE", help="Due one after another: 50/s, 300/m. Left out: all at once.")
@click.option("--dry-run", is_flag=True, help="Only count them, by target.")
@config_option
@store_option
@asynchronous
async def replay(
    ids: Sequence[str],
    states: Sequence[str],
    wanted: Filter,
    all_dead: bool,
    unrouted: bool,
    rate: float | None,
    dry_run: bool,
    config_path: Path,
    store_path: Path,
) -> None:
    """Have what is dead, delivered or waiting attempted again.

    It is pending, and its target's retry policy starts anew. IDs are of events, or of webhooks for all their events; a
    start is enough. A running daemon delivers them within a second, and every replay is written into the audit.

    Events that no route took when they arrived have no deliveries; by --unrouted, or by their id, they are given those
    that today's routes make of them.

    \b
    relay replay --target warehouse --since 2h --dry-run
    relay replay --target warehouse --since 2h --rate 50/s
    relay replay 01998f2e-7d3a-7c31 --state delivered
    relay replay --target warehouse --state pending
    relay replay --all-dead
    relay replay --unrouted --entity leads --since 1d
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    _demand_a_choice(narrowed=bool(ids) or wanted != Filter(), all_dead=all_dead, unrouted=unrouted, states=states)
    if unrouted and (ids or wanted.target or wanted.route):
        raise click.UsageError("--unrouted looks for events: it takes neither ids nor --target and --route")
    wanted = replace(wanted, states=() if unrouted else tuple(map(State, states)) or (State.DEAD,))
    async with visiting(store_path) as store:
        task = _Replay(store, config_path, rate=rate, dry_run=dry_run)
        if unrouted:
            unrouted_pages = pages(lambda after: store.events(wanted, limit=PAGE, after=after, unrouted=True))
            await task.reroute(unrouted_pages, conditions(wanted))
        elif ids:
            await _replay_named(task, store, ids, wanted)
        else:
            await task.replay(wanted)
        if task.found_none and (doubted := [each async for each in doubts(store, wanted, config_path)]):
            raise NotDone("\n".join(doubted))
        task.tell()


def _demand_a_choice(*, narrowed: bool, all_dead: bool, unrouted: bool, states: Sequence[str]) -> None:
    if all_dead and (narrowed or unrouted or states):
        raise click.UsageError("--all-dead stands alone: without it, give ids or a filter")
    if unrouted and states:
        raise click.UsageError("--unrouted looks for events, which have no --state")
    if not all_dead and not unrouted and not narrowed:
        raise click.UsageError("say which: give ids, a filter like --target or --since, --unrouted or --all-dead")


async def _replay_named(task: "_Replay", store: Archive, ids: Sequence[str], wanted: Filter) -> None:
    chosen = [event for id_ in ids for event in (await named(store, id_))[1]]
    if not chosen:
        raise NotDone("no events came of these webhooks: see relay show")
    if planned := tuple(event.id for event in chosen if event.deliveries):
        await task.replay(replace(wanted, event_ids=planned))
    never = [event for event in chosen if not event.deliveries and not (wanted.target or wanted.route)]
    if never:
        await task.reroute(_once(never), {"event_ids": [event.id for event in never]})
    if not task.counts and not never:
        raise NotDone(f"nothing {' or '.join(wanted.states)} under these ids: see relay show, or give another --state")


async def _once(page: Sequence[EventRecord]) -> AsyncIterator[Sequence[EventRecord]]:
    yield page


class _Replay:
    """What the command does, or on a dry run would do, and how much that is."""

    def __init__(self, store: Archive, config_path: Path, *, rate: float | None, dry_run: bool) -> None:
        self.counts: Counter[str] = Counter()
        self._store = store
        self._config_path = config_path
        self._rate = rate
        self._dry_run = dry_run
        self._replayed = 0
        self._waiting = False  # some are asked for that may wait
        self._probed: list[str] = []  # targets that are held, and asked at once
        self._unrouted = 0
        self._damaged = 0

    @property
    def found_none(self) -> bool:
        """Nothing is as it was wanted: no delivery, and no event that no route took."""
        return not (self.counts or self._unrouted or self._damaged)

    async def replay(self, wanted: Filter) -> None:
        """Deliveries that are over, or wait."""
        self.counts.update(await self._store.count(wanted, replayable=True))
        self._waiting = State.PENDING in wanted.states
        if not self._dry_run:
            done = act("replay", conditions(wanted))
            self._replayed += await self._store.replay(wanted, done, rate=self._rate)
            if self._waiting:
                await self._look_for_probed()

    async def reroute(self, found: AsyncIterator[Sequence[EventRecord]], asked: Mapping[str, object]) -> None:
        """Events without deliveries."""
        from relay.routes.plan import plan

        config = load_to_look(self._config_path)
        done = act("replay --unrouted", asked)
        async for page in found:
            routed = [plan(events.load(event.payload), config) for event in page if not event.corrupt]
            self._damaged += sum(event.corrupt for event in page)
            self.counts.update(planned.target for each in routed for planned in each.planned)
            self._unrouted += sum(not each.planned for each in routed)
            if not self._dry_run:
                self._replayed += await self._store.reroute(routed, done, rate=self._rate)

    async def _look_for_probed(self) -> None:
        status = await self._store.status()
        seen = {name: status.targets[name].condition for name in self.counts if name in status.targets}
        if status.owner is not None:
            self._probed = [name for name, each in seen.items() if each and each.health is Health.OPEN]

    def _parked(self) -> list[str]:
        """Targets that nothing is sent to, as the routes file stands; none if it cannot be used."""
        routed = targets_now(self._config_path)
        return [] if routed is None else sorted(name for name in self.counts if name not in routed)

    def tell(self) -> None:
        """By target, and in all."""
        counted = table("TARGET", "DELIVERIES", right=("DELIVERIES",))
        for target, number in sorted(self.counts.items()):
            counted.add_row(cell(target), cell(number))
        if self.counts:
            put(counted)
        if self._unrouted:
            click.echo(f"no route takes {self._unrouted} event{'s' * (self._unrouted != 1)} today either")
        if self._waiting and not self._dry_run and (left := self.counts.total() - self._replayed) > 0:
            click.echo(f"left alone {left} that are under way, due already, or wait for an earlier one")
        if parked := self._parked():
            click.echo(f"parked until the routes file has the target again: {', '.join(map(printable, parked))}")
        if self._probed:
            click.echo(f"held, and asked now: {', '.join(map(printable, sorted(self._probed)))}")
        if self._damaged:
            click.echo(f"left out {self._damaged} whose JSON is not what was kept, see relay verify")
        most = "at most " if self._waiting else ""
        click.echo(f"would replay {most}{self.counts.total()}" if self._dry_run else f"replayed {self._replayed}")
