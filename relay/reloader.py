"""Files that may change while we run -> what is in force. Routes with their secrets, and the certificate with its key.

Each of the two is taken up as a whole or, with a problem, not at all; neither waits for the other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from ssl import SSLContext
from typing import TypeVar

from relay.errors import ConfigurationError, RoutesInvalid
from relay.model import Json
from relay.routes.config import Config, load
from relay.routes.permissions import writable_by_others
from relay.signals import Emit, FileDetached, FileExposed, Reloaded
from relay.tls import Certificate, client_context
from relay.watched import Note, Watched, outdated

T = TypeVar("T")

WATCH_EVERY = 0.5  # seconds; changed files are loaded when they were the same twice
STOPPING = "the relay is stopping"


class Reloader:
    """The routes, as `config`, and the `certificate`. `use` is told of new routes and returns the parked targets.

    `tls` are the files of the certificate and its key. `clock` is that of the process.
    """

    def __init__(
        self,
        routes: Path,
        environment: Mapping[str, str],
        tls: tuple[Path, Path] | None,
        *,
        use: Callable[[Config], Awaitable[Sequence[str]]],
        emit: Emit,
        clock: Callable[[], datetime],
    ) -> None:
        self._file = routes
        self._environment = environment
        self._use = use
        self._emit = emit
        self._reloads: set[asyncio.Task[Reloaded]] = set()
        self._reloading = asyncio.Lock()
        self._frozen = False
        self.certificate = Certificate(*tls) if tls else None
        self._pair = Watched(self.certificate.read, clock=clock) if self.certificate else None
        if self.certificate and self._pair:
            self.certificate.use(self._pair.read())
            self._pair.take_up()
        self._routes = Watched(self._load, clock=clock)
        self.config = self._routes.read()
        self._routes.take_up()
        self._warn()
        self._outdated()

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
        """Reload when a file that was read has changed, once they have all stopped changing; for ever."""
        now = self._seen()
        while True:
            await asyncio.sleep(WATCH_EVERY)
            before, now = now, [each.now() for each in self._watched]
            if now == before and now != self._seen():
                await self.reload()

    def freeze(self) -> None:
        """What is in force stays so: nobody is left to use anything new."""
        self._frozen = True

    def files(self) -> Json:
        """What is loaded, since when, and what was refused, for `relay status`."""
        return {
            "loaded": [each for part in self._watched for each in part.loaded()],
            "refused": [each for part in self._watched for each in part.refused()],
        }

    @property
    def _watched(self) -> list[Watched[Config] | Watched[SSLContext]]:
        return [self._routes, self._pair] if self._pair else [self._routes]

    def _seen(self) -> list[Mapping[Path, object]]:
        return [each.seen for each in self._watched]

    def _load(self, note: Note) -> Config:
        config = load(self._file, self._environment, on_open=note)
        for target in config.targets.values():
            if target.tls:
                client_context(target.tls)  # now: when a connection needs it the files may be gone
        return config

    async def _reload(self) -> Reloaded:
        refused_pair: Sequence[str] = ()
        taken_up = []
        if self.certificate and self._pair:
            refused_pair = await self._read(self._pair, use=self.certificate.use)
            taken_up += [] if refused_pair else ["certificate"]
        problems = await self._read(self._routes, use=self._use_config)
        taken_up += [] if problems else ["routes"]
        return Reloaded(
            file=str(self._file),
            problems=problems,
            refused_pair=refused_pair,
            taken_up=taken_up,
            parked=() if problems else await self._use(self.config),
            warnings=self._outdated(),
        )

    async def _read(self, files: Watched[T], *, use: Callable[[T], None]) -> Sequence[str]:
        """Use what they hold from now on; or why not."""
        try:
            found = await asyncio.to_thread(files.read)
        except RoutesInvalid as error:
            problems: Sequence[str] = error.lines()
        except ConfigurationError as error:
            problems = [str(error)]
        except Exception as error:  # noqa: BLE001  a fault of ours in reading a file must not end a relay that works
            # the error's text may have secrets of the file in it
            problems = [f"{next(iter(files.seen), self._file)}: a fault of the relay, {type(error).__name__}"]
        else:
            if not self._frozen:
                files.take_up()
                use(found)
                return ()
            problems = [STOPPING]
        files.refuse(problems)
        return problems

    def _use_config(self, config: Config) -> None:
        self.config = config
        self._warn()

    def _warn(self) -> None:
        """Not a refusal: routes that are refused over a `chmod` lose webhooks, or go on as they were before."""
        if said := writable_by_others(self._file):
            self._emit(FileExposed(file=str(self._file), detail=said))

    def _outdated(self) -> list[str]:
        """Files whose newer versions cannot arrive: what is in force may not be what the operator sees."""
        found = {path: said for part in self._watched for path in part.seen if (said := outdated(path))}
        for path, said in found.items():
            self._emit(FileDetached(file=str(path), detail=said))
        return [f"{path} {said}" for path, said in found.items()]
