"""A relay's parts -> its public listener: webhooks are read, checked, committed and answered."""

import socket
from collections.abc import Callable
from datetime import datetime
from functools import partial

from uuid_utils import uuid7

from relay.account.heal.indexing import hooks_to_index
from relay.account.service import Accounts
from relay.daemon.settings import Settings
from relay.http.aiohttp_version import Variant
from relay.http.listener import Listener, listen
from relay.http.machine_limits import Limits
from relay.ingest.budget import Budget
from relay.ingest.commit import COMMIT_TIMEOUT, Committer
from relay.ingest.decode import Decoder
from relay.ingest.endpoint import Intake
from relay.routes.config import Config
from relay.signals import Emit
from relay.tls import Certificate

DRAIN = 0.3  # seconds in which open connections may send one more request
GRACE = COMMIT_TIMEOUT  # seconds for requests that are being served after that


def intake(
    settings: Settings,
    *,
    config: Callable[[], Config],
    committer: Committer,
    accounts: Accounts,
    budget: Budget,
    clock: Callable[[], datetime],
    emit: Emit,
) -> Intake:
    """Return what receives webhooks, by the routes in force at that moment."""
    hooks_of = partial(hooks_to_index, offset_of=accounts.offset_of)
    return Intake(
        Decoder(committer, config=config, emit=emit, new_id=_new_id, hooks_of=hooks_of),
        config=config,
        emit=emit,
        clock=clock,
        new_id=_new_id,
        max_body=settings.max_body,
        body_timeout=settings.limits.body,
        budget=budget,
        proxies=settings.proxies,
    )


async def listen_publicly(
    intake: Intake,
    listening: socket.socket,
    limits: Limits,
    *,
    variant: Variant,
    certificate: Certificate | None,
    emit: Emit,
) -> Listener:
    """Have `intake` answer what arrives at a listening socket."""
    return await listen(
        intake.answer,
        listening,
        limits=limits,
        drain=DRAIN,
        grace=GRACE,
        emit=emit,
        tls=certificate.context if certificate else None,
        on_malformed=intake.reject_malformed,
        receive=intake.receive,
        variant=variant,
    )


def _new_id() -> str:
    return str(uuid7())
