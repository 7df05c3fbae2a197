"""The recipe json, before a service that verifies signatures."""

from base64 import b64encode

from aiohttp import web
from standardwebhooks import Webhook

from relay.model import State
from tests.recipes.api import Api, Call
from tests.recipes.conftest import Run, lead

SECRET = b64encode(bytes(32)).decode()


class Service(Api):
    ORIGIN = "http://127.0.0.1:9000"

    def answer(self, call: Call) -> web.Response:
        Webhook(SECRET).verify(call.body.decode(), call.headers)
        return web.Response(status=204)


async def test_the_service_gets_signed_events_again_after_an_error(run: Run) -> None:
    api = Service()
    api.refusals.append(web.Response(status=502))
    async with run("json", api, service_secret=SECRET) as recipe:
        await recipe.post("leads.status", **lead())
        [delivered] = await recipe.all_are(State.DELIVERED)
        assert await recipe.attempts(delivered) == [("5xx", 502), ("2xx", 204)]
        assert {call.json["data"]["id"] for call in api.calls} == {7}
