"""Files that may change while the relay runs -> the routes with their secrets, the certificate and its key, the tokens.

Each of the three is activated as a whole or, with a problem, not at all; none waits for another.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from ssl import SSLContext
from typing import TypeVar

from relay.errors import ConfigurationError, RoutesInvalid
from relay.file_versions import OnOpen, WatchedFiles, detached
from relay.model import Json
from relay.operations.access import Bearers, Entry
from relay.operations.access import load as load_access
from relay.routes.config import Config, load
from relay.routes.permissions import writable_by_others
from relay.signals import Emit, FileDetached, FileExposed, Reloaded
from relay.tls import Certificate, client_context

T = TypeVar("T")

WATCH_EVERY = 0.5  # seconds; changed files are loaded once two looks in a row saw the same
STOPPING = "the relay is stopping"


class Reloader:
    """Hold the routes in force, as `config`, the `certificate`, and have `bearers` use the tokens of the file `access`.

    `use` is called with new routes and returns the orphaned targets. `tls`: the files of the certificate and its key.
    `access`: the file of the tokens, and what they are used by.
    `names`: the folder with the catalogs of accounts. At the start a route whose names are unknown is stopped; later
    such routes are refused.
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
        names: Path | None = None,
        access: tuple[Path, Bearers] | None = None,
    ) -> None:
        self._file = routes
        self._environment = environment
        self._use = use
        self._emit = emit
        self._reloads: set[asyncio.Task[Reloaded]] = set()
        self._reloading = asyncio.Lock()
        self._stopping = False
        self.certificate = Certificate(*tls) if tls else None
        self._pair = WatchedFiles(self.certificate.read, clock=clock) if self.certificate else None
        if self.certificate and self._pair:
            self.certificate.use(self._pair.read())
            self._pair.activate()
        self._bearers = access[1] if access else None
        self._access = WatchedFiles(partial(load_access, access[0]), clock=clock) if access else None
        if self._bearers and self._access:
            self._bearers.use(self._access.read())
            self._access.activate()
        self._names, self._starting = names, True
        self._routes = WatchedFiles(self._load, clock=clock)
        self.config = self._routes.read()
        self._routes.activate()
        self._starting = False
        self._warn_if_exposed()
        self._detached()

    async def reload(self) -> Reloaded:
        """Read every file again, and activate what is good."""
        async with self._reloading:  # else an older read could be activated after a newer one
            reloaded = await self._reload()
        self._emit(reloaded)
        return reloaded

    def reload_soon(self) -> None:
        """Start a reload from where nothing can be awaited: a signal handler."""
        task = asyncio.get_running_loop().create_task(self.reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def watch(self) -> None:
        """Reload, for ever, when a file that was read has changed and all have stopped changing."""
        now = self._last_read()
        while True:
            await asyncio.sleep(WATCH_EVERY)
            before, now = now, [each.now() for each in self._all]
            if now == before and now != self._last_read():
                await self.reload()

    def stop(self) -> None:
        """Activate nothing any more: the relay is stopping."""
        self._stopping = True

    def files(self) -> Json:
        """Report what is loaded, since when, and what was rejected, for `relay status`."""
        return {
            "loaded": [each for part in self._all for each in part.loaded()],
            "refused": [each for part in self._all for each in part.rejected()],
        }

    @property
    def _all(self) -> list[WatchedFiles[Config] | WatchedFiles[SSLContext] | WatchedFiles[tuple[Entry, ...]]]:
        return [self._routes, *([self._pair] if self._pair else []), *([self._access] if self._access else [])]

    def _last_read(self) -> list[Mapping[Path, object]]:
        return [each.last_read for each in self._all]

    def _load(self, on_open: OnOpen) -> Config:
        config = load(self._file, self._environment, stop_routes=self._starting, names=self._names, on_open=on_open)
        for target in config.targets.values():
            if target.tls:
                client_context(target.tls)  # now: the files may be gone when a connection needs them
        return config

    async def _reload(self) -> Reloaded:
        certificate_problems: Sequence[str] = ()
        access_problems: Sequence[str] = ()
        activated = []
        if self.certificate and self._pair:
            certificate_problems = await self._read(self._pair, use=self.certificate.use)
            activated += [] if certificate_problems else ["certificate"]
        if self._bearers and self._access:
            access_problems = await self._read(self._access, use=self._bearers.use)
            activated += [] if access_problems else ["access"]
        problems = await self._read(self._routes, use=self._use_config)
        activated += [] if problems else ["routes"]
        return Reloaded(
            file=str(self._file),
            problems=problems,
            certificate_problems=certificate_problems,
            access_problems=access_problems,
            activated=activated,
            orphaned=() if problems else await self._use(self.config),
            warnings=self._detached(),
        )

    async def _read(self, files: WatchedFiles[T], *, use: Callable[[T], None]) -> Sequence[str]:
        """Activate what the files hold now, or return their problems."""
        try:
            found = await asyncio.to_thread(files.read)
        except RoutesInvalid as error:
            problems: Sequence[str] = error.lines()
        except ConfigurationError as error:
            problems = [str(error)]
        except Exception as error:  # noqa: BLE001  a bug in reading a file must not end a relay that works
            # not its text, which may quote secrets of the file
            problems = [f"{next(iter(files.last_read), self._file)}: a fault of the relay, {type(error).__name__}"]
        else:
            if not self._stopping:
                files.activate()
                use(found)
                return ()
            problems = [STOPPING]
        files.reject(problems)
        return problems

    def _use_config(self, config: Config) -> None:
        self.config = config
        self._warn_if_exposed()

    def _warn_if_exposed(self) -> None:
        """Warn only: to reject routes over a `chmod` would lose webhooks, or leave old routes in force."""
        if said := writable_by_others(self._file):
            self._emit(FileExposed(file=str(self._file), detail=said))

    def _detached(self) -> list[str]:
        """Warn of files whose newer versions cannot arrive: the operator may see another file than the relay."""
        found = {path: said for part in self._all for path in part.last_read if (said := detached(path))}
        for path, said in found.items():
            self._emit(FileDetached(file=str(path), detail=said))
        return [f"{path} {said}" for path, said in found.items()]
