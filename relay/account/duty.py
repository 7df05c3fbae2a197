"""What is done for an account from time to time, by the one relay that leads: each duty in a loop of its own."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from relay.errors import AccountError, StoreBusy, StoreFailed
from relay.signals import Emit, Notice

FOLLOWING = 2.0  # seconds between two looks whether this relay leads now
AGAIN = 30.0  # seconds after a failure, unless the duty has others


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """`run` does it if it is due, and returns in how many seconds to ask again.

    `name`: for the log. `by_all`: every relay does it, not the leading one alone. `again`: seconds after a failure.
    """

    name: str
    run: Callable[[], Awaitable[float]]
    by_all: bool = False
    again: float = AGAIN


async def carry_out(duty: Duty, *, leads: Callable[[], bool], emit: Emit) -> None:
    """Do it again and again while this relay leads, for ever. StoreFailed ends it, and with it the relay."""
    reported = ""
    while True:
        pause = FOLLOWING
        if duty.by_all or leads():
            try:
                pause = await duty.run()
                reported = ""
            except (AccountError, StoreBusy):
                pause = duty.again  # each duty announces what its user must know
            except StoreFailed:
                raise
            except Exception as error:  # noqa: BLE001  a bug in one of them must not stop webhooks
                pause = duty.again
                if (said := repr(error)) != reported:
                    reported = said
                    fields: dict[str, object] = {"duty": duty.name, "error": said}
                    emit(Notice(level="error", text="internal error: the account's duty is repeated", fields=fields))
        await asyncio.sleep(pause)
