"""The recipe apps-script, before a receiver that answers as script.google.com does (sources: docs/recipes.md)."""

import pytest
from aiohttp import web

from relay.model import State
from tests.recipes.api import Api, Call
from tests.recipes.conftest import Run, lead

SCRIPT = "AKfycbyA8mGQqVpc9CLd3FH0Zp8Vp9zpCfNpS2HeK99YW3kiAJEc8d"
ECHO = "https://script.googleusercontent.com/macros/echo?user_content_key=AehSKLjV&lib=M1YLor6O"
LOGIN = "https://accounts.google.com/ServiceLogin?passive=1209600&continue=https://script.google.com/macros/s/x/exec"


class AppsScript(Api):
    """Runs the script, then redirects to what it returned, which nobody fetches."""

    ORIGIN = "https://script.google.com"

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[object]] = []

    def answer(self, call: Call) -> web.Response:
        if (call.method, call.path) != ("POST", f"/macros/s/{SCRIPT}/exec"):
            return page("Sorry, unable to open the file at this time.", status=404)
        self.rows.append(list(call.json.values())[2:])
        return moved(ECHO)


def moved(location: str) -> web.Response:
    answer = page("Moved Temporarily", status=302)
    answer.headers["Location"] = location
    return answer


def page(text: str, *, status: int = 200) -> web.Response:
    html = f"<!DOCTYPE html><html><head><title>Error</title></head><body>{text}</body></html>"
    return web.Response(status=status, text=html, content_type="text/html")


async def test_the_sheet_gets_a_row_and_the_redirect_is_a_success(run: Run) -> None:
    api = AppsScript()
    async with run("apps-script", api, apps_script_id=SCRIPT) as recipe:
        await recipe.post("leads.add", **lead(price=185000))
        [delivered] = await recipe.all_are(State.DELIVERED)
        assert api.rows == [[7, "Kitchen", 16203337, 185000]]
        assert (await recipe.attempts(delivered))[0][1] == 302
        assert len(api.calls) == 1, "the redirect is not followed"
        assert api.calls[0].json["id"] == api.calls[0].headers["webhook-id"]


@pytest.mark.parametrize(
    "refusal",
    [
        page("TypeError: Cannot read properties of undefined (line 3, file &quot;Code&quot;)"),
        moved(LOGIN),
        page("Service invoked too many times for one day", status=429),
        page("Sorry, unable to open the file at this time.", status=404),
    ],
    ids=["it threw", "a login", "a quota", "no such script"],
)
async def test_a_script_that_did_not_run_or_threw_gets_the_event_later(refusal: web.Response, run: Run) -> None:
    api = AppsScript()
    api.refusals.append(refusal)
    async with run("apps-script", api, apps_script_id=SCRIPT) as recipe:
        await recipe.post("leads.status", **lead())
        [delivered] = await recipe.all_are(State.DELIVERED)
        assert [status for _, status in await recipe.attempts(delivered)] == [refusal.status, 302]
        assert len(api.rows) == 1
