"""The cookie of who has logged in: signed, and worth nothing once its token is removed, replaced or expired.

Nothing is kept here of a session. What signs a cookie is made of a random key and of the hash of the token that was
shown: whoever reads the access file has no key, whoever reads the key has no token, and a new token has another hash.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web
from itsdangerous import BadData, URLSafeSerializer

from relay.admin.auth import utc_now
from relay.errors import RelayError
from relay.operations.access import Bearers
from relay.operations.asker import Asker

IDLE = timedelta(hours=12)
"""Without a request for so long a session is over."""
WHOLE = timedelta(days=7)
"""A session is over then in any case."""
RENEWED_AFTER = timedelta(minutes=5)
"""A cookie that is older than this is replaced by the next answer."""

KEY_AGE = timedelta(seconds=10)
"""The key is read again after so long: somebody may have ended all sessions."""
KEY_WITHIN = 1.0  # seconds; with a store that is away the last key goes on

MOST = 640
"""Characters of a cookie: it may be compressed, and is read before its signature is known to be ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a cookie says: who has logged in when, and when the cookie was made."""

    name: str
    began_at: datetime
    seen_at: datetime

    def over(self, now: datetime) -> bool:
        """True once it was idle for too long, or is too old."""
        return now - self.seen_at >= IDLE or now - self.began_at >= WHOLE

    def payload(self) -> dict[str, Any]:
        """As it is signed."""
        return {"name": self.name, "began": int(self.began_at.timestamp()), "seen": int(self.seen_at.timestamp())}


class Sessions:
    """The cookies of a relay, and of those that share its store. `secure`: only by https, and of this host alone."""

    def __init__(
        self,
        bearers: Bearers,
        key: Callable[[], Awaitable[bytes]],
        *,
        secure: bool,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._bearers = bearers
        self._read_key = key
        self._key: bytes | None = None
        self._read_at: datetime | None = None
        self._reading: asyncio.Task[None] | None = None
        self._secure = secure
        self._now = now

    async def begin(self, response: web.StreamResponse, asker: Asker) -> None:
        """Log an asker in, who has shown a token; StoreBusy if the key cannot be read."""
        now = self._now()
        self._put(response, await self._ready(), Session(name=asker.name, began_at=now, seen_at=now))

    def end(self, response: web.StreamResponse) -> None:
        """Log out."""
        if self._key:
            response.del_cookie(self._name(self._key), path="/", secure=self._secure, httponly=True, samesite="Lax")

    async def session(self, request: web.Request) -> Callable[[], Asker | None]:
        """What says, whenever it is called, whom the cookie of a request is of; see `Pages`."""
        if not any(name.startswith(self._prefix) for name in request.cookies):
            return lambda: None
        key = await self._ready()
        return lambda: self._still(request, key)

    def all_ended(self) -> None:
        """Read the key again at the next request: all sessions were ended here."""
        self._read_at = None

    def renew(self, request: web.Request, response: web.StreamResponse) -> None:
        """Replace a cookie that is in force by a younger one, so that it does not end while it is used."""
        if self._key is None or (found := self._read(request, self._key)) is None:
            return
        now = self._now()
        if now - found.seen_at >= RENEWED_AFTER:
            self._put(response, self._key, Session(name=found.name, began_at=found.began_at, seen_at=now))

    async def _ready(self) -> bytes:
        if self._key is None:
            self._key, self._read_at = await self._read_key(), self._now()
        elif self._is_stale():
            await asyncio.shield(self._read_again())
        return self._key

    def _is_stale(self) -> bool:
        return self._read_at is None or self._now() - self._read_at >= KEY_AGE

    def _read_again(self) -> "asyncio.Task[None]":
        """Begin to read the key, unless that is under way."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._renew_key())
        return self._reading

    async def _renew_key(self) -> None:
        with suppress(RelayError, TimeoutError):
            async with asyncio.timeout(KEY_WITHIN):
                self._key = await self._read_key()
        self._read_at = self._now()

    def _still(self, request: web.Request, key: bytes) -> Asker | None:
        """Return the asker of the cookie; None once another key is in force, which streams have looked for here."""
        if self._is_stale():
            self._read_again()
        return self._asker(request, key) if key == self._key else None

    # ---- the cookie

    @property
    def _prefix(self) -> str:
        return "__Host-relay-" if self._secure else "relay-"

    def _name(self, key: bytes) -> str:
        """A name of its own for each store: relays on other ports of this host have other cookies."""
        return self._prefix + hashlib.sha256(key).hexdigest()[:8]

    def _put(self, response: web.StreamResponse, key: bytes, session: Session) -> None:
        if (signed := self._signer(key, session.name)) is None:  # the token was removed meanwhile
            return
        response.set_cookie(
            self._name(key),
            str(signed.dumps(session.payload())),
            max_age=int(IDLE.total_seconds()),
            path="/",
            httponly=True,
            secure=self._secure,
            samesite="Lax",
        )

    def _asker(self, request: web.Request, key: bytes) -> Asker | None:
        session = self._read(request, key)
        found = self._bearers.named(session.name, self._now()) if session else None
        return found[0] if found else None

    def _read(self, request: web.Request, key: bytes) -> Session | None:
        """The session of a cookie that we have signed, for a token that is in force, and that is not over."""
        text = request.cookies.get(self._name(key), "")
        if len(text) > MOST:
            return None
        signer = self._signer(key, _claimed(text))
        if signer is None:
            return None
        try:
            session = _session(signer.loads(text))
        except BadData:
            return None
        return None if session.over(self._now()) else session

    def _signer(self, key: bytes, name: str) -> URLSafeSerializer | None:
        """None for a name without a token that is in force."""
        if (found := self._bearers.named(name, self._now())) is None:
            return None
        mixed = hmac.new(key, b"session\n" + found[1], hashlib.sha256).digest()
        settings = {"digest_method": hashlib.sha256, "key_derivation": "hmac"}
        return URLSafeSerializer(mixed, salt="relay.session", signer_kwargs=settings)


def _claimed(text: str) -> str:
    """Return the name in a cookie, which is not verified yet."""
    _, payload = URLSafeSerializer(b"").loads_unsafe(text)
    name = payload.get("name") if isinstance(payload, Mapping) else None
    return name if isinstance(name, str) else ""


def _session(payload: Any) -> Session:
    began, seen = (datetime.fromtimestamp(payload[name], UTC) for name in ("began", "seen"))
    return Session(name=payload["name"], began_at=began, seen_at=seen)
