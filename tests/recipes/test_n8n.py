"""The recipe n8n, before a receiver that answers as n8n's Webhook node does (docs/recipes.md has the sources)."""

from aiohttp import web

from relay.model import State
from tests.e2e.processes import until
from tests.recipes.api import Api, Call
from tests.recipes.conftest import Run, lead

TOKEN = "n8n-token-0123456789"


class N8n(Api):
    ORIGIN = "https://n8n.example"

    def answer(self, call: Call) -> web.Response:
        if (call.method, call.path) != ("POST", "/webhook/amocrm"):
            return not_registered()
        if call.headers.get("x-relay-token") != TOKEN:
            return web.Response(status=403, text="Authorization data is wrong!")
        return web.json_response({"message": "Workflow was started"})


def not_registered() -> web.Response:
    hint = "The workflow must be active for a production URL to run successfully."
    message = 'The requested webhook "POST amocrm" is not registered.'
    return web.json_response({"code": 404, "message": message, "hint": hint}, status=404)


async def test_the_workflow_gets_the_event(run: Run) -> None:
    api = N8n()
    async with run("n8n", api, n8n_token=TOKEN) as recipe:
        await recipe.post("leads.status", **lead())
        await recipe.all_are(State.DELIVERED)
        [call] = api.calls
        assert (call.json["type"], call.json["data"]["id"]) == ("leads.status", 7)
        assert call.headers["webhook-id"] == call.json["id"]


async def test_a_workflow_that_is_not_active_or_fails_gets_the_event_later(run: Run) -> None:
    api = N8n()
    api.refusals.append(not_registered())
    api.refusals.append(web.json_response({"message": "Error in workflow"}, status=500))
    async with run("n8n", api, n8n_token=TOKEN) as recipe:
        await recipe.post("leads.status", **lead())
        [delivered] = await recipe.all_are(State.DELIVERED)
        assert await recipe.attempts(delivered) == [("4xx", 404), ("5xx", 500), ("2xx", 200)]


async def test_a_wrong_token_loses_nothing(run: Run) -> None:
    api = N8n()
    async with run("n8n", api, n8n_token="wrong") as recipe:
        await recipe.post("leads.status", **lead())
        await until(lambda: len(api.calls) >= 2)
        [pending] = await recipe.all_are(State.PENDING)
        assert (await recipe.attempts(pending))[0] == ("4xx", 403)
