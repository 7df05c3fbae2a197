"""`python -m tests.fakeamo`: an account to point a relay at, on loopback; `--help` says what it can be like."""

import argparse
import asyncio
import signal

from tests.fakeamo.amo import FakeAmo
from tests.fakeamo.clock import RunningClock
from tests.fakeamo.server import Server
from tests.fakeamo.traffic import Traffic

FILE = """\
fakeamo answers on {url}; in the routes file:

accounts:
  main:
    host: {host}
    token: {token}
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fakeamo", description=__doc__)
    parser.add_argument("--port", type=int, default=8090, help="0: any that is free")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kommo", action="store_true", help="be an account of Kommo's")
    parser.add_argument("--no-alpha", action="store_true", help="ignore the filters of lists")
    parser.add_argument(
        "--speed",
        type=float,
        default=1.0,
        help="seconds of amoCRM's a second, for retries and tokens; with another than 1 healing finds false losses",
    )
    parser.add_argument("--hook", metavar="URL", help="add a webhook of the account for everything")
    parser.add_argument("--traffic", type=float, default=0.0, metavar="N", help="random changes a second")
    return parser.parse_args()


async def run(options: argparse.Namespace) -> None:
    clock = RunningClock(speed=options.speed)
    amo = FakeAmo(options.seed, clock=clock, kommo=options.kommo, alpha=not options.no_alpha)
    stop = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    async with Server(amo, options.port).serving() as server:
        if options.hook:
            amo.subscribe(
                options.hook, ["add_lead", "status_lead", "update_lead", "delete_lead", "note_lead", "add_contact"]
            )
        print(FILE.format(url=server.url, host=server.host, token=amo.token), flush=True)
        traffic = Traffic(amo, options.seed)
        while not stop.is_set():
            try:
                await asyncio.wait_for(stop.wait(), 1 / options.traffic if options.traffic else None)
            except TimeoutError:
                print(traffic.change(), flush=True)


if __name__ == "__main__":
    asyncio.run(run(arguments()))
