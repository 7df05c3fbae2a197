"""Templates -> code, before the first page, in a process of its own: `environment` as a program.

It takes a second and more of the processor. A thread would have the interpreter's lock for most of that, and an
acknowledgement, which takes the lock anew at each of its steps, would wait for 5 ms at each.
"""

import asyncio
import marshal
import sys
from contextlib import suppress
from functools import cache

from jinja2 import BytecodeCache, Environment
from jinja2.bccache import Bucket

from relay.admin.console.sentences import compile_patterns


class InMemory(BytecodeCache):
    """Keeps what was compiled for as long as the process lives, for each environment after the first."""

    def __init__(self) -> None:
        self.compiled: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Fill it with what was compiled from the same source."""
        if found := self.compiled.get(bucket.key):
            bucket.bytecode_from_string(found)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what was compiled."""
        self.compiled[bucket.key] = bucket.bytecode_to_string()


@cache
def in_memory() -> InMemory:
    """The one of this process."""
    return InMemory()


class Compiled:
    """The templates of an environment; requests that come while they are compiled wait."""

    def __init__(self, environment: Environment, memory: InMemory) -> None:
        self._environment = environment
        self._memory = memory
        self._compiling: asyncio.Task[None] | None = None

    async def ready(self) -> None:
        """Compile all of them at the first call."""
        if self._compiling is None:
            self._compiling = asyncio.get_running_loop().create_task(self._compile())
        if not self._compiling.done():
            await asyncio.shield(self._compiling)

    async def close(self, _app: object = None) -> None:
        """End what compiles."""
        if self._compiling:
            self._compiling.cancel()
            await asyncio.wait([self._compiling])

    async def _compile(self) -> None:
        if not self._memory.compiled:
            self._memory.compiled.update(await _beside())
        await asyncio.to_thread(load, self._environment)
        for _ in compile_patterns():
            await asyncio.sleep(0)


def load(environment: Environment) -> None:
    """Load the code of all templates; compile what there is no code of."""
    for name in environment.list_templates(extensions=("html",)):
        environment.get_template(name)


async def _beside() -> dict[str, bytes]:
    """The code of all templates; none if the process cannot be started, or failed: its traceback is in the log."""
    without_folder = "-P"  # the working directory is not on the path of modules
    command = sys.executable, without_folder, "-m", "relay.admin.console.environment"
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
        )
    except OSError:
        return {}
    try:
        printed, _ = await process.communicate()
    finally:
        with suppress(ProcessLookupError):  # it has ended
            process.kill()
        await process.wait()
    if process.returncode:
        return {}
    try:
        compiled = marshal.loads(printed)  # noqa: S302  our own
    except (EOFError, TypeError, ValueError):  # something of the installation prints, too
        return {}
    return compiled if isinstance(compiled, dict) else {}
