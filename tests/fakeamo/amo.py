"""A whole account of amoCRM: a person changes it, a client asks it, and it posts webhooks."""

import re
from collections.abc import Mapping
from dataclasses import replace
from email.utils import formatdate
from typing import Any

from tests.fakeamo import documents, faults
from tests.fakeamo.clock import VirtualClock
from tests.fakeamo.conversations import Talk
from tests.fakeamo.documents import NOTHING, hal, listed, page_of_nginx, problem
from tests.fakeamo.faults import Faults
from tests.fakeamo.feed import Feed
from tests.fakeamo.incoming import Incoming, IncomingChanges
from tests.fakeamo.limiter import Limiter
from tests.fakeamo.lists import KINDS, Lists
from tests.fakeamo.posts import Post
from tests.fakeamo.query import Query
from tests.fakeamo.subscriptions import Subscription, Trigger
from tests.fakeamo.tokens import Tokens
from tests.fakeamo.values import Ending, FakeAnswer, Quirks
from tests.fakeamo.webhooks import Webhooks

READS_STOP_AFTER = 30 * 86_400
"""Seconds after which an unpaid account refuses reads other than events."""
FOR_ADMINISTRATORS = ("/api/v4/webhooks", "/api/v4/users")


class FakeAmo(IncomingChanges):
    """Ask by `request`; change by the verbs; take webhooks by `due`, and say by `answered` what became of them.

    All chance comes from `seed`, all time from `clock`. `rows()` is what ought to be told.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        clock: VirtualClock | None = None,
        without_types: frozenset[str] = frozenset(),
        **quirks: Any,
    ) -> None:
        super().__init__(seed, clock or VirtualClock(), Quirks(**quirks))
        self.talks: dict[int, Talk] = {}
        self.incoming: dict[str, Incoming] = {}
        self.limiter = Limiter()
        self.faults = Faults(self.random)
        self.tokens = Tokens(self.structure, self.random, self.clock)
        self.token = self.tokens.long_lived()
        """Of the administrator, good for a year."""
        self.webhooks = Webhooks(self)
        self.requests: list[tuple[float, str, str, int]] = []
        """(time, method, path and query, status) of every request."""
        self.gone = False
        """The account was renamed: its old host answers 404."""
        self._feed = Feed(self, without_types)
        self._lists = Lists(self, self.incoming, self.talks)

    # ---- webhooks of the account

    def subscribe(self, destination: str, settings: list[str]) -> Subscription:
        """What a person adds in the account's pages; the API's own way is POST /api/v4/webhooks."""
        return self.webhooks.subscribe(destination, settings)

    def switch_off(self, destination: str) -> None:
        """What a person does on purpose."""
        if found := self.webhooks.known(destination):
            found.disabled, found.switched_off_by = True, "person"

    def switch_on(self, destination: str) -> None:
        if found := self.webhooks.known(destination):
            found.enable()

    def add_trigger(
        self, status_id: int, destination: str, *on: str, pipeline: int | None = None, **more: Any
    ) -> Trigger:
        """`API: send webhook` in a stage, on status, add, call_in, mail_in, chat or site_visit."""
        trigger = Trigger(
            pipeline_id=pipeline or self.structure.pipeline_of(status_id).id,
            status_id=status_id,
            destination=destination,
            on=frozenset(on or ("status", "add")),
            **more,
        )
        self.triggers.append(trigger)
        return trigger

    def due(self, now: float | None = None) -> list[Post]:
        """Attempts to be made now."""
        return self.posts.due(self.clock() if now is None else now)

    def answered(self, post: Post, status: int | None) -> None:
        """What an attempt was answered; None: nothing within 2 s."""
        self.posts.answered(post, status)

    # ---- requests

    def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> FakeAnswer:
        """One request to the account's host; `path` with its query. Without headers: the administrator's token."""
        headers = {"Authorization": f"Bearer {self.token}"} if headers is None else headers
        answer = self._limited(method, path, headers, body)
        extra = {
            "Date": formatdate(self.clock() + self.quirks.date_ahead, usegmt=True),
            "X-Request-Id": f"{self.random.getrandbits(128):032x}",
        }
        self.requests.append((self.clock(), method, path, answer.status))
        return replace(answer, headers={**answer.headers, **extra})

    def _limited(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> FakeAnswer:
        if refusal := self.limiter.check(self.clock()):
            return refusal
        if not (fault := self.faults.next(method, path)):
            return self._answer(method, Query(path), headers, body)
        if fault in faults.BEFORE:
            return faults.KINDS[fault](NOTHING)
        answer = faults.KINDS[fault](self._answer(method, Query(path), headers, body))
        return replace(answer, ending=Ending.WHOLE) if answer.ending is Ending.CUT and not answer.body else answer

    def _answer(self, method: str, query: Query, headers: Mapping[str, str], body: bytes) -> FakeAnswer:
        if query.path == "/oauth2/access_token":
            return problem(404, "Not found") if self.gone else self._token(method, body)
        if query.path in ("/oauth2/account/subdomain", "/oauth2/account/current/subdomain"):
            structure = self.structure
            return hal({"id": structure.id, "subdomain": structure.subdomain, "domain": structure.host})
        if self.gone:
            return problem(404, f"Cannot {method} {self.base}{query.path}")
        user = self.tokens.user_of(documents.header(headers, "Authorization"))
        if user is None:
            return problem(401, "Unauthorized")
        if self._is_unpaid(method, query.path):
            return problem(402, "Payment Required")
        if query.path.startswith(FOR_ADMINISTRATORS) and not self._is_admin(user):
            return problem(403, "Forbidden")
        return self._routed(method, query, body, user)

    def _token(self, method: str, body: bytes) -> FakeAnswer:
        return self.tokens.grant(body) if method == "POST" else problem(405, "Method not allowed")

    def _is_unpaid(self, method: str, path: str) -> bool:
        since = self.structure.unpaid_since
        if since is None:
            return False
        return method != "GET" or path.startswith("/api/v4/events") or self.clock() >= since + READS_STOP_AFTER

    def _is_admin(self, user: int) -> bool:
        return any(each["id"] == user and each["rights"]["is_admin"] for each in self.structure.users)

    def _routed(self, method: str, query: Query, body: bytes, user: int) -> FakeAnswer:
        match method, query.path:
            case "POST", "/api/v4/webhooks":
                return self.webhooks.post(body, user)
            case "DELETE", "/api/v4/webhooks":
                return self.webhooks.delete(body)
            case "GET", path if found := self._read(path, query, user):
                return found
            case "GET", path:
                return problem(404, f"Cannot GET {self.base}{path}")
        return problem(405, "Method not allowed") if self._read(query.path, query, user) else page_of_nginx(404)

    def _read(self, path: str, query: Query, user: int) -> FakeAnswer | None:
        """The answer of GET; None: there is no such path."""
        match path.removeprefix("/api/v4/").split("/") if path.startswith("/api/v4/") else ():
            case ["account"]:
                return hal(self.structure.document(frozenset(query.many("with")), alpha=self.quirks.alpha, user=user))
            case ["events"]:
                return self._feed.page(query)
            case ["events", "types"]:
                return self._feed.types(query)
            case ["events", id]:
                return self._feed.one(id, query)
            case ["webhooks"]:
                return self.webhooks.listed(query)
            case ["users"]:
                return listed("users", self.structure.users, query, self.base, totals=True)
            case ["leads", "pipelines", *rest]:
                return self._pipelines(rest)
            case ["leads", "unsorted", *rest]:
                return self._lists.one_unsorted(rest[0]) if rest else self._lists.unsorted(query)
            case ["tasks", *rest]:
                return self._lists.task(int(rest[0])) if rest else self._lists.tasks(query)
            case ["talks", *rest]:
                return self._talks_of(rest, query)
            case [kind, *rest] if kind in KINDS and not (kind == "customers" and self.quirks.kommo):
                return self._of_cards(kind, rest, query)
        return None

    def _of_cards(self, kind: str, rest: list[str], query: Query) -> FakeAnswer | None:
        match rest:
            case []:
                return self._lists.cards(kind, query)
            case ["custom_fields"]:
                return listed("custom_fields", self.structure.fields[kind], query, self.base, totals=True)
            case ["statuses"] if kind == "customers":
                return listed("statuses", self.structure.customer_statuses, query, self.base, totals=True)
            case ["notes"]:
                return self._lists.notes(kind, query)
            case [id, "notes"] if id.isdecimal():
                return self._lists.notes(kind, query, entity=int(id))
            case [id, "notes", note] if id.isdecimal() and note.isdecimal():
                return self._lists.notes(kind, query, entity=int(id), number=int(note))
            case [id] if id.isdecimal():
                return self._lists.card(kind, int(id), query)
        return None

    def _pipelines(self, rest: list[str]) -> FakeAnswer:
        items = [self.structure.pipeline_document(each) for each in self.structure.pipelines]
        if not rest:
            return hal({"_total_items": len(items), "_links": {}, "_embedded": {"pipelines": items}})
        found = next((each for each in items if str(each["id"]) == rest[0]), None)
        if not found:
            return NOTHING
        if re.fullmatch("statuses", "/".join(rest[1:])):
            statuses = found["_embedded"]["statuses"]
            return hal({"_total_items": len(statuses), "_links": {}, "_embedded": {"statuses": statuses}})
        return hal(found)

    def _talks_of(self, rest: list[str], query: Query) -> FakeAnswer | None:
        match rest:
            case []:
                return self._lists.talks(query)
            case [id] if id.isdecimal():
                return self._lists.talk(int(id))
            case [id, "messages"] if id.isdecimal():
                return self._lists.messages()
        return None
