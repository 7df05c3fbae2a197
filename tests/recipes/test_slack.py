"""The recipe slack, before a receiver that answers as incoming webhooks do (docs/recipes.md has the sources)."""

from time import monotonic

import pytest
from aiohttp import web

from relay.model import State
from tests.recipes.api import Api, Call
from tests.recipes.conftest import Run, lead

PATH = "T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"


class Slack(Api):
    """Answers in plain text: `ok`, or the name of an error with its status."""

    ORIGIN = "https://hooks.slack.com"

    def answer(self, call: Call) -> web.Response:
        if call.path != f"/services/{PATH}":
            return web.Response(status=404, text="no_service")
        try:
            blocks = call.json["blocks"]
            good = isinstance(call.json["text"], str) and all(each["text"]["type"] == "plain_text" for each in blocks)
        except (ValueError, LookupError, TypeError):
            good = False
        return web.Response(text="ok") if good else web.Response(status=400, text="invalid_payload")


async def test_the_channel_gets_a_message_that_mentions_nobody(run: Run) -> None:
    api = Slack()
    async with run("slack", api, slack_webhook=PATH) as recipe:
        await recipe.post("leads.status", **lead(name="<!channel> & Co"))
        await recipe.all_are(State.DELIVERED)
        [call] = api.calls
        text = {"type": "plain_text", "text": "Lead 7 <!channel> & Co is in stage 16203337"}
        assert call.json == {"text": "Lead 7", "blocks": [{"type": "section", "text": text}]}


async def test_a_rate_limit_is_waited_for_as_long_as_its_header_says(run: Run) -> None:
    api = Slack()
    api.refusals.append(web.Response(status=429, text="rate_limited", headers={"Retry-After": "2"}))
    async with run("slack", api, slack_webhook=PATH) as recipe:
        started = monotonic()
        await recipe.post("leads.status", **lead())
        [delivered] = await recipe.all_are(State.DELIVERED)
        assert monotonic() - started >= 1.5  # whole seconds
        assert await recipe.attempts(delivered) == [("429", 429), ("2xx", 200)]


@pytest.mark.parametrize(("status", "text"), [(500, "rollup_error"), (403, "action_prohibited"), (404, "no_service")])
async def test_what_may_be_mended_is_retried(status: int, text: str, run: Run) -> None:
    api = Slack()
    api.refusals.append(web.Response(status=status, text=text))
    async with run("slack", api, slack_webhook=PATH) as recipe:
        await recipe.post("leads.status", **lead())
        [delivered] = await recipe.all_are(State.DELIVERED)
        assert [each for _, each in await recipe.attempts(delivered)] == [status, 200]


@pytest.mark.parametrize(("status", "text"), [(400, "invalid_payload"), (410, "channel_is_archived")])
async def test_what_stays_wrong_is_dead_at_once(status: int, text: str, run: Run) -> None:
    api = Slack()
    api.refusals.append(web.Response(status=status, text=text))
    async with run("slack", api, slack_webhook=PATH) as recipe:
        await recipe.post("leads.status", **lead())
        [dead] = await recipe.all_are(State.DEAD)
        assert await recipe.attempts(dead) == [("4xx", status)]
