"""An access file beside a relay that runs: who is asked from afar, what of a token can be found, when it ends."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

from tests.e2e.processes import RELAY, RelayProcess, until, variables
from tests.e2e.sender import post_lead
from tests.e2e.targets import listening, refusing

ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
defaults: {{retry: {{initial: 50ms, attempts: 1}}}}
targets: {{bot: {{url: "{bot}"}}}}
routes: [{{name: all, match: {{entity: leads}}, to: bot}}]
"""


class Operator:
    """Commands beside one access file; everything that they print is kept."""

    def __init__(self, folder: Path) -> None:
        self.access = folder / "access.json"
        self.store = folder / "relay.db"
        self.url = ""
        self.printed: list[str] = []

    async def here(self, *command: str) -> tuple[int, str]:
        return await self._run(command, RELAY_ACCESS=str(self.access), RELAY_STORE=f"sqlite:///{self.store}")

    async def afar(self, token: str, *command: str) -> tuple[int, str]:
        return await self._run(command, RELAY_URL=self.url, RELAY_TOKEN=token)

    async def token(self, *command: str) -> str:
        """A token that is made; it is not among what is printed."""
        code, said = await self.here("access", *command)
        assert code == 0, said
        self.printed.pop()
        return said.splitlines()[0]

    async def _run(self, command: tuple[str, ...], **more: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *RELAY, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=variables(**more)
        )
        said = (await process.communicate())[0].decode()
        self.printed.append(said)
        assert process.returncode is not None
        return process.returncode, said


def contents(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir() if file.is_file())


async def test_tokens_open_a_relay_to_their_roles_until_they_are_replaced_and_are_found_nowhere(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    viewer = await operator.token("add", "olga", "--role", "viewer", "--expires", "90d")
    bot = await operator.token("add", "bot", "--role", "operator")
    async with AsyncExitStack() as stack:
        targets = await stack.enter_async_context(listening(bot=refusing(9)))
        relay = RelayProcess(tmp_path, ROUTES.format(bot=targets.url("bot")), RELAY_ACCESS=str(operator.access))
        stack.push_async_callback(relay.kill)
        await relay.spawn()
        await relay.said("ready")
        operator.url = relay.admin
        await post_lead(relay.hook, "m1")
        seen = ""

        async def is_dead() -> bool:
            nonlocal seen
            code, seen = await operator.afar(bot, "list", "--json", "--state", "dead")
            return code == 0 and bool(json.loads(seen)["data"])

        await until(is_dead)
        whole = json.loads(seen)["data"][0]
        masked = json.loads((await operator.afar(viewer, "list", "--json"))[1])["data"][0]
        assert "503" in masked["why"]
        assert whole["event"] == masked["event"]

        assert await operator.afar(viewer, "pause", "bot") == (
            1,
            "relay: olga is a viewer: this needs the role operator\n",
        )
        assert await operator.afar(bot, "pause", "bot") == (0, "bot is paused\n")
        acts = json.loads((await operator.here("audit", "--json"))[1])
        assert [(each["who"], each["command"]) for each in acts][:1] == [("bot", "pause")]

        new = await operator.token("rotate", "bot")

        async def is_replaced() -> bool:
            return (await operator.afar(bot, "list"))[0] == 1

        await until(is_replaced)
        assert "was it replaced or removed?" in (await operator.afar(bot, "list"))[1]
        assert await operator.afar(new, "resume", "bot") == (0, "bot is resumed\n")
        await operator.here("access", "list")
        await operator.here("status")
    written = contents(tmp_path)
    for token in (viewer, bot, new):
        secret = token.rpartition("_")[2]
        assert secret.encode() not in written, "the log, the store, the access file"
        assert secret not in "".join(operator.printed)
