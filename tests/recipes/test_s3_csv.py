"""The recipe s3-csv, before a receiver that answers as S3's PutObject does (docs/recipes.md has the sources)."""

import csv
import hashlib
import io

from aiohttp import web

from relay.model import State
from tests.recipes.api import Api, Call
from tests.recipes.conftest import Run, lead


class Bucket(Api):
    """Objects by their keys. Errors are XML with a code, by which people know them."""

    ORIGIN = "https://amocrm-events.s3.example"

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, bytes] = {}

    def answer(self, call: Call) -> web.Response:
        if call.method != "PUT":
            return refused(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
        self.objects[call.path] = call.body
        return web.Response(headers={"ETag": f'"{hashlib.md5(call.body).hexdigest()}"'})


def refused(status: int, code: str, message: str) -> web.Response:
    error = f"<Error><Code>{code}</Code><Message>{message}</Message><RequestId>4442587FB7D0A2F9</RequestId></Error>"
    return web.Response(
        status=status, text=f'<?xml version="1.0" encoding="UTF-8"?>\n{error}', content_type="application/xml"
    )


async def test_each_event_is_an_object_with_a_csv_line(run: Run) -> None:
    api = Bucket()
    async with run("s3-csv", api) as recipe:
        await recipe.post("leads.status", **lead())
        await recipe.post("leads.update", **lead(id=8))
        await recipe.all_are(State.DELIVERED, 2)
        ids = {call.headers["webhook-id"] for call in api.calls}
        assert set(api.objects) == {f"/leads/{id_}.csv" for id_ in ids}
        rows = [row for body in api.objects.values() for row in csv.reader(io.StringIO(body.decode()))]
        assert sorted(row[2:] for row in rows) == [
            ["leads.status", "7", "752662", "16203337"],
            ["leads.update", "8", "752662", "16203337"],
        ]
        assert {row[0] for row in rows} == ids
        assert {call.headers["content-type"] for call in api.calls} == {"text/csv"}
        assert all(body.endswith(b"\n") for body in api.objects.values())


async def test_a_store_that_is_busy_or_refuses_gets_the_event_later(run: Run) -> None:
    api = Bucket()
    api.refusals.append(refused(503, "SlowDown", "Please reduce your request rate."))
    api.refusals.append(refused(403, "AccessDenied", "Access Denied"))
    api.refusals.append(refused(500, "InternalError", "We encountered an internal error. Please try again."))
    async with run("s3-csv", api) as recipe:
        await recipe.post("leads.status", **lead())
        [delivered] = await recipe.all_are(State.DELIVERED)
        assert await recipe.attempts(delivered) == [("5xx", 503), ("4xx", 403), ("5xx", 500), ("2xx", 200)]
        assert len(api.objects) == 1, "a repeated event is the same object"
