"""Templates -> code, in a thread before the first page: on the event loop that would hold up acknowledgements."""

import asyncio
from functools import cache

from jinja2 import BytecodeCache, Environment
from jinja2.bccache import Bucket


class InMemory(BytecodeCache):
    """Keeps what was compiled for as long as the process lives, for each environment after the first."""

    def __init__(self) -> None:
        self._compiled: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Fill it with what was compiled from the same source."""
        if found := self._compiled.get(bucket.key):
            bucket.bytecode_from_string(found)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what was compiled."""
        self._compiled[bucket.key] = bucket.bytecode_to_string()


@cache
def in_memory() -> InMemory:
    """The one of this process."""
    return InMemory()


class Compiled:
    """The templates of an environment; requests that come while they are compiled wait."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._compiling: asyncio.Task[None] | None = None

    async def ready(self) -> None:
        """Compile all of them at the first call."""
        if self._compiling is None:
            self._compiling = asyncio.get_running_loop().create_task(asyncio.to_thread(self._compile))
        if not self._compiling.done():
            await asyncio.shield(self._compiling)

    def _compile(self) -> None:
        for name in self._environment.list_templates(extensions=("html",)):
            self._environment.get_template(name)
