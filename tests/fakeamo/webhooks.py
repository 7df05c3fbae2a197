"""GET, POST and DELETE /api/v4/webhooks: the destination is the key."""

from urllib.parse import urlsplit

import orjson

from tests.fakeamo.documents import hal, invalid, problem
from tests.fakeamo.query import Query
from tests.fakeamo.records import Records
from tests.fakeamo.subscriptions import SETTINGS, Subscription
from tests.fakeamo.values import FakeAnswer, Fields

MOST = 100


class Webhooks:
    def __init__(self, records: Records) -> None:
        self._records = records
        self.unresolvable: set[str] = set()
        """Hosts of destinations that have no address yet."""

    def listed(self, query: Query) -> FakeAnswer:
        """Not paged; none: an empty list, by a filter too."""
        wanted = query.one("filter[destination]")
        found = [each for each in self._records.subscriptions if wanted in (None, each.destination)]
        items = [each.document(self._records.structure.id) for each in found]
        self_link = {"self": {"href": f"{self._records.base}{query.path}"}}
        return hal({"_total_items": len(items), "_links": self_link, "_embedded": {"webhooks": items}})

    def post(self, body: bytes, user: int) -> FakeAnswer:
        """Create, or change the settings of a known destination; whether that enables it is a quirk."""
        fields = document(body)
        destination, settings = fields.get("destination"), fields.get("settings")
        if not isinstance(destination, str) or not urlsplit(destination).hostname:
            return invalid("InvalidUrl", "destination", "Invalid URL")
        if urlsplit(destination).hostname in self.unresolvable:
            return invalid("InvalidUrl", "destination", "Invalid URL")
        if not isinstance(settings, list) or not settings:
            return invalid("NotBlank", "settings", "This value should not be blank.")
        for at, name in enumerate(settings):
            if name not in SETTINGS:
                return invalid("NotSupportedChoice", f"settings.{at}", "The value you selected is not a valid choice.")
        if not (found := self.known(destination)) and len(self._records.subscriptions) >= MOST:
            return problem(400, "Webhooks limit exceeded")
        found = self._changed(found, settings) if found else self.subscribe(destination, settings, user)
        echo = found.document(self._records.structure.id) | {"settings": dict.fromkeys(found.settings, 1)}
        return hal(echo, 200 if self._records.quirks.kommo else 201)

    def delete(self, body: bytes) -> FakeAnswer:
        found = self.known(str(document(body).get("destination")))
        if not found:
            return problem(404, "Webhook not found")
        self._records.subscriptions.remove(found)
        found.deleted = True
        return FakeAnswer(status=204)

    # ---- what a person does in the account's pages

    def known(self, destination: str) -> Subscription | None:
        return next((each for each in self._records.subscriptions if each.destination == destination), None)

    def subscribe(self, destination: str, settings: list[str], user: int = 0) -> Subscription:
        now = int(self._records.clock())
        found = Subscription(
            id=self._records.new_id(),
            destination=destination,
            settings=[*settings],
            created_at=now,
            updated_at=now,
            created_by=user,
        )
        self._records.subscriptions.append(found)
        return found

    def _changed(self, found: Subscription, settings: list[str]) -> Subscription:
        found.settings, found.updated_at = [*settings], int(self._records.clock())
        if self._records.quirks.post_enables:
            found.enable()
        return found


def document(body: bytes) -> Fields:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
