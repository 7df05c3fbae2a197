"""Files that may change while we run -> what is in force: all of it replaced at once or, with a problem, none of it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from relay.errors import Misconfigured, RoutesInvalid
from relay.routes.config import Config, load
from relay.routes.exposure import exposure
from relay.signals import Emit, Noticed, Reloaded
from relay.tls import Certificate

WATCH_EVERY = 0.5  # seconds; changed files are loaded when they were the same twice

Stamp: TypeAlias = tuple[int, int, int] | None


class Current:
    """The routes, as `config`, and the certificate. `use` is told of new routes and returns the parked targets."""

    def __init__(
        self,
        routes: Path,
        environment: Mapping[str, str],
        certificate: Certificate | None,
        *,
        use: Callable[[Config], Awaitable[Sequence[str]]],
        emit: Emit,
    ) -> None:
        self._routes = routes
        self._environment = environment
        self._certificate = certificate
        self._use = use
        self._emit = emit
        self._reloads: set[asyncio.Task[Reloaded]] = set()
        self._reloading = asyncio.Lock()
        self._frozen = False
        self._loaded = self._stamps()  # first: what is written while it is read is noticed
        self.config = load(routes, environment)
        self._warn()

    async def reload(self) -> Reloaded:
        """Read every file anew."""
        async with self._reloading:  # else the files of before could win over the present ones
            reloaded = await self._reload()
        self._emit(reloaded)
        return reloaded

    def reload_soon(self) -> None:
        """`reload` for those who cannot wait for it."""
        task = asyncio.get_running_loop().create_task(self.reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def watch(self) -> None:
        """Reload when the routes or the certificate have changed, once they have stopped changing; for ever."""
        seen = self._loaded
        while True:
            await asyncio.sleep(WATCH_EVERY)
            before, seen = seen, self._stamps()
            if seen == before != self._loaded:
                await self.reload()

    def freeze(self) -> None:
        """What is in force stays so: nobody is left to use anything new."""
        self._frozen = True

    async def _reload(self) -> Reloaded:
        self._loaded = self._stamps()
        file = str(self._routes)
        try:
            config = await asyncio.to_thread(load, self._routes, self._environment)
            context = await asyncio.to_thread(self._certificate.read) if self._certificate else None
        except RoutesInvalid as error:
            return Reloaded(file=file, problems=error.lines())
        except Misconfigured as error:
            return Reloaded(file=file, problems=[str(error)])
        except Exception as error:  # noqa: BLE001  a fault of ours in reading a file must not end a relay that works
            # the error's text may have secrets of the file in it
            return Reloaded(file=file, problems=[f"{file}: a fault of the relay, {type(error).__name__}"])
        if self._frozen:
            return Reloaded(file=file, problems=["the relay is stopping"])
        self.config = config
        self._warn()
        if self._certificate and context:
            self._certificate.use(context)
        return Reloaded(file=file, parked=await self._use(config))

    def _warn(self) -> None:
        """Not a refusal: routes that are refused over a `chmod` lose webhooks, or go on as they were before."""
        if said := exposure(self._routes):
            fields: dict[str, object] = {"file": str(self._routes), "detail": said}
            self._emit(Noticed(level="warning", text="the routes file is open to others", fields=fields))

    def _stamps(self) -> list[Stamp]:
        return [_stamp(file) for file in (self._routes, *(self._certificate.files if self._certificate else ()))]


def _stamp(path: Path) -> Stamp:
    """What differs when a file was written or replaced; None if it is not there."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
