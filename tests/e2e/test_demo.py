"""`relay demo`, a newcomer's first minute: everything arrives, some at the second attempt, and the way goes on."""

import asyncio
import os
import signal
from asyncio.subprocess import PIPE
from pathlib import Path

import aiohttp

from tests.e2e.processes import PATIENCE, RELAY, run, until, variables

TYPES = ("leads.status", "leads.call_in", "leads.mail_in", "leads.chat", "leads.site_visit", "customers.period")
IN_THE_END = "7 delivered, 2 of them after a failed first attempt, 0 dead."


async def test_the_demo_ends_with_everything_delivered_and_says_where_to_look_next() -> None:
    code, printed, complaint = await run(*RELAY, "demo", "--once")
    assert (code, complaint) == (0, "")
    assert IN_THE_END in printed
    for event in TYPES:
        assert f"{event:<17}stored for " in printed
    assert printed.count("attempt 1, 503: again in") == 2
    assert [line for line in printed.splitlines() if line != line.rstrip()] == []
    assert "README.md" in printed.partition("Look next")[2]


async def test_what_the_demo_says_to_type_can_be_typed_until_ctrl_c() -> None:
    nowhere = variables(PATH=os.defpath)  # as after `make demo`: relay is in .venv alone
    demo = await asyncio.create_subprocess_exec(*RELAY, "demo", stdout=PIPE, env=nowhere)
    try:
        assert demo.stdout
        async with asyncio.timeout(PATIENCE):
            printed = (await demo.stdout.readuntil(b"Ctrl-C ends it")).decode()
        commands = [line.split() for line in printed.partition("Look next")[2].splitlines() if "--" in line]
        assert [command[3] for command in commands] == ["status", "show", "explain", "send"]
        shown = [await run(*command) for command in commands]
        assert [(code, complaint) for code, _, complaint in shown] == [(0, "")] * 4

        async def both_well() -> bool:
            """The warehouse failed at first; a daemon reports of its targets once a second."""
            _, status, _ = await run(*commands[0])
            return [line.split()[::5] for line in status.splitlines()[1:3]] == [
                ["sales-bot", "yes"],
                ["warehouse", "yes"],
            ]

        await until(both_well)
        demo.send_signal(signal.SIGINT)
        async with asyncio.timeout(PATIENCE):
            assert await demo.wait() == 0
    finally:
        if demo.returncode is None:
            demo.kill()
            await demo.wait()


async def test_the_console_of_the_demo_is_opened_where_that_is_asked_for(tmp_path: Path) -> None:
    opened, browser = tmp_path / "opened", tmp_path / "browser"
    browser.write_text(f"#!/bin/sh\necho $1 > {opened}.part && mv {opened}.part {opened}\n")
    browser.chmod(0o755)
    variables_ = variables(BROWSER=f"{browser} %s")
    demo = await asyncio.create_subprocess_exec(*RELAY, "demo", "--open", stdout=PIPE, env=variables_)
    try:
        assert demo.stdout
        async with asyncio.timeout(PATIENCE):
            printed = (await demo.stdout.readuntil(b"Ctrl-C ends it")).decode()
        await until(opened.exists)
        address = opened.read_text().strip()
        assert f"Its console, for a browser on this machine: {address}\n" in printed
        async with aiohttp.ClientSession() as session, session.get(address) as page:
            assert page.status == 200 and "warehouse" in await page.text()
    finally:
        demo.kill()
        await demo.wait()


async def test_what_ends_at_once_is_not_opened() -> None:
    code, _, complaint = await run(*RELAY, "demo", "--once", "--open")
    assert code == 2 and "leave --once or --open out" in complaint
