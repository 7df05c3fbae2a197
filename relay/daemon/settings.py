"""Flags and variables -> the settings that a relay starts with; routes are not among them, they can be reloaded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from relay.errors import ConfigurationError
from relay.http.aiohttp_version import Variant
from relay.http.forwarded import NO_PROXIES, TrustedProxies
from relay.http.machine_limits import LEAST_FILES, Limits
from relay.http.systemd import Passed
from relay.model import Secret, is_loopback
from relay.store.open import StoreUrl, state_folder

MIN_TOKEN_LENGTH = 20  # on a public address: guessing is slowed down, but the right token always passes


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What cannot be reloaded. Addresses are (host, port); port 0 takes a free one.

    `passed`: sockets of systemd, which replace `listen` and `admin`. `tls`: certificate and key of the public one,
    `limits`: its limits. `proxies`: whose word is taken for where a request comes from. `files`: how many this process
    may have open. `init`: begin with an empty store where the one before is gone. `ballast`: bytes of disk to hold back
    for the moment when it is full. `spool`: the file that is committed to while a PostgreSQL store is away. `durable`:
    refuse a PostgreSQL that may lose what it has committed. `access`: the file with the tokens of the private listener,
    beside `admin_token` and `viewer_token`. `console`: serve pages there. `admin_url`: where people reach it.
    """

    config: Path
    store: StoreUrl
    spool: Path = Path("relay-spool.db")
    listen: tuple[str, int] = ("127.0.0.1", 8080)
    admin: tuple[str, int] = ("127.0.0.1", 8081)
    passed: Passed = field(default_factory=Passed)
    tls: tuple[Path, Path] | None = None
    files: int = LEAST_FILES
    limits: Limits = field(default_factory=Limits)
    admin_token: Secret | None = None
    viewer_token: Secret | None = None
    access: Path | None = None
    console: bool = True
    admin_url: str | None = None
    proxies: TrustedProxies = NO_PROXIES
    max_body: int = 4 * 1024 * 1024
    init: bool = False
    durable: bool = True
    ballast: int = 0
    http_client: Variant = Variant.FAST
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def names(self) -> Path:
        """The folder where catalogs of names are cached."""
        return state_folder(self.store, self.spool)

    @property
    def admin_host(self) -> str:
        """The address of the private listener, whoever opened its socket."""
        host: str = (self.passed.admin.getsockname() if self.passed.admin else self.admin)[0]
        return host


def demand_private(settings: Settings) -> None:
    """Refuse an admin listener that is not on loopback and has no token, or a short one."""
    if settings.admin_token and settings.admin_token == settings.viewer_token:
        raise ConfigurationError("RELAY_ADMIN_TOKEN and RELAY_VIEWER_TOKEN are the same: a viewer would be an operator")
    host = settings.admin_host
    if is_loopback(host):
        return
    given = {"RELAY_ADMIN_TOKEN": settings.admin_token, "RELAY_VIEWER_TOKEN": settings.viewer_token}
    if settings.access is None and not any(given.values()):
        raise ConfigurationError(
            f"--admin {host} is not loopback: set RELAY_ADMIN_TOKEN or --access, or listen on 127.0.0.1"
        )
    for name, token in given.items():
        if token and len(token.reveal()) < MIN_TOKEN_LENGTH:
            raise ConfigurationError(
                f"--admin {host} is not loopback and {name} has fewer than {MIN_TOKEN_LENGTH} characters:"
                " make one with openssl rand -hex 32"
            )
