"""Long-lived tokens, codes, and refresh tokens that work once."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import orjson

from tests.fakeamo.documents import hal, problem
from tests.fakeamo.structure import Structure
from tests.fakeamo.values import FakeAnswer, Fields
from tests.fakeamo.webhooks import document

CODE_LIVES = 1_200
REFRESH_LIVES = 90 * 86_400
DAY = 86_400


@dataclass(frozen=True, kw_only=True)
class Integration:
    client_id: str
    client_secret: str
    redirect_uri: str


@dataclass(kw_only=True)
class Token:
    text: str
    kind: str  # long-lived | access | refresh | code
    expires_at: float
    user: int
    client_id: str = ""
    revoked: bool = False
    generation: int = 0
    """Of refresh tokens: how many came before."""


class Tokens:
    """All tokens ever given out."""

    def __init__(self, structure: Structure, random: Random, clock: Callable[[], float]) -> None:
        self.access_lives = DAY
        self.integrations: dict[str, Integration] = {}
        self.refreshes: list[tuple[int, int]] = []
        """(generation, status) of every refresh that was tried: at most one 200 for each generation."""
        self._structure = structure
        self._random = random
        self._clock = clock
        self._tokens: dict[str, Token] = {}

    # ---- what a person does

    def long_lived(self, *, days: int = 365, user: int | None = None) -> str:
        return self._new("long-lived", days * DAY, self._structure.users[0]["id"] if user is None else user).text

    def add_integration(self, redirect_uri: str = "https://relay.example/oauth") -> Integration:
        client_id, secret = (f"{self._random.getrandbits(128):032x}" for _ in range(2))
        found = Integration(client_id=client_id, client_secret=secret, redirect_uri=redirect_uri)
        self.integrations[client_id] = found
        return found

    def authorize(self, client_id: str, *, user: int | None = None) -> str:
        """The code that comes with the redirect: for 20 minutes, once."""
        owner = self._structure.users[0]["id"] if user is None else user
        return self._new("code", CODE_LIVES, owner, client_id).text

    def revoke(self, text: str) -> None:
        self._tokens[text].revoked = True

    # ---- requests

    def user_of(self, authorization: str) -> int | None:
        """Whose token it is; None: it is none, or no longer."""
        scheme, _, text = authorization.partition(" ")
        token = self._tokens.get(text)
        valid = token and scheme == "Bearer" and token.kind in ("long-lived", "access") and self._is_good(token)
        return token.user if token and valid else None

    def grant(self, body: bytes) -> FakeAnswer:
        """POST /oauth2/access_token."""
        fields = document(body)
        integration = self.integrations.get(str(fields.get("client_id")))
        if not integration or fields.get("client_secret") != integration.client_secret:
            return refused("Client authentication failed", "")
        if fields.get("redirect_uri") != integration.redirect_uri:
            return problem(400, "The redirect_uri does not match", hint="Check the `redirect_uri` parameter")
        match fields.get("grant_type"):
            case "authorization_code":
                return self._by(str(fields.get("code")), "code", integration)
            case "refresh_token":
                return self._by(str(fields.get("refresh_token")), "refresh", integration)
        return problem(400, "The authorization grant type is not supported")

    # ----

    def _by(self, text: str, kind: str, integration: Integration) -> FakeAnswer:
        token = self._tokens.get(text)
        is_one = token and token.kind == kind and token.client_id == integration.client_id
        answer = self._exchanged(token) if token and is_one and self._is_good(token) else None
        if kind == "refresh":
            self.refreshes.append((token.generation if token else -1, 200 if answer else 401))
        return answer or refused("Token has been revoked", "Cannot decrypt the refresh token")

    def _exchanged(self, token: Token) -> FakeAnswer:
        token.revoked = True
        access = self._new("access", self.access_lives, token.user, token.client_id)
        refresh = self._new("refresh", REFRESH_LIVES, token.user, token.client_id)
        refresh.generation = token.generation + 1
        found = {"token_type": "Bearer", "expires_in": self.access_lives, "access_token": access.text}
        return hal(found | {"refresh_token": refresh.text})

    def _is_good(self, token: Token) -> bool:
        return not token.revoked and self._clock() < token.expires_at

    def _new(self, kind: str, lives: float, user: int, client_id: str = "") -> Token:
        expires_at = self._clock() + lives
        text = f"def50200{self._random.getrandbits(512):0128x}"
        if kind in ("long-lived", "access"):
            text = self._jwt(int(expires_at), user, client_id)
        token = Token(text=text, kind=kind, expires_at=expires_at, user=user, client_id=client_id)
        self._tokens[text] = token
        return token

    def _jwt(self, expires_at: int, user: int, client_id: str) -> str:
        """The shape of one; its signature is noise."""
        claims: Fields = {"aud": client_id or "private", "jti": f"{self._random.getrandbits(128):032x}"}
        claims |= {"iat": int(self._clock()), "exp": expires_at, "sub": str(user), "account_id": self._structure.id}
        claims |= {"base_domain": self._structure.domain, "api_domain": f"api-b.{self._structure.domain}"}
        claims |= {"scopes": ["crm", "notifications"]}
        signature = self._random.randbytes(256)
        parts = (orjson.dumps({"typ": "JWT", "alg": "RS256"}), orjson.dumps(claims), signature)
        return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def refused(hint: str, detail: str) -> FakeAnswer:
    return problem(401, detail or hint, hint=hint)
