"""The recipe 1c, before a receiver that answers as a published infobase does (docs/recipes.md has the sources)."""

from base64 import b64encode

import pytest
from aiohttp import web

from relay.model import State
from tests.e2e.processes import until
from tests.recipes.api import Api, Call
from tests.recipes.conftest import Run, lead

USER = b64encode("Обмен:пароль-0123".encode()).decode()


class OneC(Api):
    """An HTTP service `amocrm` with a template `/lead`, for a user who may run it."""

    ORIGIN = "https://1c.example"

    def answer(self, call: Call) -> web.Response:
        if call.headers.get("authorization") != f"Basic {USER}":
            realm = 'Basic realm="1C:Enterprise 8.3"'
            return web.Response(status=401, headers={"WWW-Authenticate": realm}, text="Идентификация не выполнена")
        if call.path != "/base/hs/amocrm/lead":
            return web.Response(status=404)
        return web.Response(status=200 if call.method == "POST" else 405)


async def test_the_service_gets_the_lead_in_its_own_words(run: Run) -> None:
    api = OneC()
    async with run("1c", api, onec_basic=USER) as recipe:
        await recipe.post("leads.update", deliveries=0, **lead())  # it is not won
        await recipe.post("leads.status", **lead(status_id=142, price=185000, name="Кухня «Анна»"))
        await recipe.all_are(State.DELIVERED)
        [call] = api.calls
        assert call.headers["content-type"] == "application/json"
        document = call.json
        assert (document.pop("id"), len(document.pop("Дата"))) == (call.headers["webhook-id"], 24)
        assert document == {"Сделка": 7, "Наименование": "Кухня «Анна»", "Этап": 142, "Сумма": 185000}


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (500, "Ошибка при выполнении HTTP-запроса: {HTTPСервис.amocrm.Модуль(7)}: Конфликт блокировок"),
        (503, "Начало сеанса с информационной базой запрещено"),
        (406, "Истекло время ожидания сеанса"),
        (404, ""),
    ],
)
async def test_an_infobase_that_is_locked_or_updated_gets_the_event_later(status: int, text: str, run: Run) -> None:
    api = OneC()
    api.refusals.append(web.Response(status=status, text=text))
    async with run("1c", api, onec_basic=USER) as recipe:
        await recipe.post("leads.status", **lead(status_id=142))
        [delivered] = await recipe.all_are(State.DELIVERED)
        assert [each for _, each in await recipe.attempts(delivered)] == [status, 200]


async def test_a_wrong_password_loses_nothing(run: Run) -> None:
    api = OneC()
    async with run("1c", api, onec_basic="d3Jvbmc6d3Jvbmc=") as recipe:
        await recipe.post("leads.status", **lead(status_id=142))
        await until(lambda: len(api.calls) >= 2)
        [pending] = await recipe.all_are(State.PENDING)
        assert (await recipe.attempts(pending))[0] == ("4xx", 401)


async def test_what_the_service_refuses_for_good_is_dead(run: Run) -> None:
    api = OneC()
    api.refusals.append(web.Response(status=422, text="Не заполнена сумма"))
    async with run("1c", api, onec_basic=USER) as recipe:
        await recipe.post("leads.status", **lead(status_id=142))
        await recipe.all_are(State.DEAD)
