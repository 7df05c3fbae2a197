"""The recipe telegram, before a receiver that answers as the Bot API does (docs/recipes.md has the sources)."""

from time import monotonic

from aiohttp import web

from relay.model import State
from tests.recipes.api import Api, Call
from tests.recipes.conftest import Run, lead

TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
CHAT = -1001234567890


class Telegram(Api):
    """A bot that is a member of one chat. Errors are statuses, with `ok: false` in the body."""

    ORIGIN = "https://api.telegram.org"

    def answer(self, call: Call) -> web.Response:
        if call.path != f"/bot{TOKEN}/sendMessage":
            return refused(404, "Not Found")
        if call.headers["content-type"] != "application/json" or not call.json.get("text"):
            return refused(400, "Bad Request: message text is empty")
        if call.json["chat_id"] != CHAT:
            return refused(400, "Bad Request: chat not found")
        message = {"message_id": len(self.calls), "chat": {"id": CHAT}, "date": 0, "text": call.json["text"]}
        return web.json_response({"ok": True, "result": message})


def refused(code: int, description: str, retry_after: int | None = None) -> web.Response:
    document = {"ok": False, "error_code": code, "description": description}
    if retry_after is None:
        return web.json_response(document, status=code)
    document |= {"parameters": {"retry_after": retry_after}}
    return web.json_response(document, status=code, headers={"Retry-After": str(retry_after)})


async def test_the_chat_gets_a_message(run: Run) -> None:
    api = Telegram()
    async with run("telegram", api, telegram_token=TOKEN) as recipe:
        await recipe.post("leads.status", **lead(name='Kitchen "Anna" <b>&'))
        await recipe.all_are(State.DELIVERED)
        [call] = api.calls
        assert call.json == {"chat_id": CHAT, "text": 'Lead 7 Kitchen "Anna" <b>& is in stage 16203337'}


async def test_flood_control_is_waited_for_as_long_as_it_says(run: Run) -> None:
    api = Telegram()
    api.refusals.append(refused(429, "Too Many Requests: retry after 2", retry_after=2))
    async with run("telegram", api, telegram_token=TOKEN) as recipe:
        started = monotonic()
        await recipe.post("leads.status", **lead())
        [delivered] = await recipe.all_are(State.DELIVERED)
        assert monotonic() - started >= 1.5  # whole seconds
        assert await recipe.attempts(delivered) == [("429", 429), ("2xx", 200)]


async def test_a_telegram_that_fails_gets_the_message_later(run: Run) -> None:
    api = Telegram()
    api.refusals.append(refused(500, "Internal Server Error"))
    api.refusals.append(web.Response(status=502, text="<html>Bad Gateway</html>", content_type="text/html"))
    api.refusals.append(refused(403, "Forbidden: bot was kicked from the supergroup chat"))
    async with run("telegram", api, telegram_token=TOKEN) as recipe:
        await recipe.post("leads.status", **lead())
        [delivered] = await recipe.all_are(State.DELIVERED)
        assert [status for _, status in await recipe.attempts(delivered)] == [500, 502, 403, 200]


async def test_an_answer_that_is_not_ok_is_no_success_whatever_its_status(run: Run) -> None:
    api = Telegram()
    api.refusals.append(web.json_response({"ok": False, "description": "Internal Server Error"}))
    api.refusals.append(web.Response(text="<html>a page of some proxy</html>", content_type="text/html"))
    async with run("telegram", api, telegram_token=TOKEN) as recipe:
        await recipe.post("leads.status", **lead())
        [delivered] = await recipe.all_are(State.DELIVERED)
        assert await recipe.attempts(delivered) == [("answer", 200), ("answer", 200), ("2xx", 200)]


async def test_a_message_that_the_chat_cannot_take_is_dead_at_once(run: Run) -> None:
    api = Telegram()
    api.refusals.append(refused(400, "Bad Request: chat not found"))
    async with run("telegram", api, telegram_token=TOKEN) as recipe:
        await recipe.post("leads.status", **lead())
        [dead] = await recipe.all_are(State.DEAD)
        assert await recipe.attempts(dead) == [("4xx", 400)]


async def test_a_wrong_bot_token_loses_nothing_and_is_in_no_record(run: Run) -> None:
    api = Telegram()
    api.refusals.extend(refused(404, "Not Found") for _ in range(2))
    async with run("telegram", api, telegram_token=TOKEN) as recipe:
        await recipe.post("leads.status", **lead())
        [delivered] = await recipe.all_are(State.DELIVERED)
        assert await recipe.attempts(delivered) == [("4xx", 404), ("4xx", 404), ("2xx", 200)]
