"""PEM files -> TLS contexts (1.2 and newer) for a server and for a client, or a sentence about what is wrong.

Everything here may raise ConfigurationError, with a text that names the file and shows nothing of what is in it.
"""

import re
import ssl
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from relay.certificate_expiry import ends_at
from relay.errors import ConfigurationError
from relay.model import Tls
from relay.os_errors import os_error_text, permission_problem

_NO_PASSWORD = ""  # without one OpenSSL would ask the terminal for that of an encrypted key


class Certificate:
    """The public listener's certificate: it is given `context`; `use` replaces what new connections get.

    `ends_at`: when the one in use ends, None if that cannot be read.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self.files = (certificate, key)
        self.context = self._current = self.read()
        self.ends_at = self._end()
        self.context.sni_callback = self._show

    def read(self, note: Callable[[Path], object] = lambda _path: None) -> ssl.SSLContext:
        """Load the files as they are now, for `use`; `note` is called with each before."""
        for file in self.files:
            note(file)
        context = _versions(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        _show(context, *self.files)
        return context

    def use(self, context: ssl.SSLContext) -> None:
        """Serve new connections with this context. Open connections stay as they are."""
        self._current = context
        self.ends_at = self._end()

    def _end(self) -> datetime | None:
        """When the certificate in the file ends; None if the file has changed meanwhile to what is none."""
        try:
            text = self.files[0].read_text("ascii", "replace")
            found = re.search(f"{ssl.PEM_HEADER}.*?{ssl.PEM_FOOTER}", text, re.DOTALL)
            return ends_at(ssl.PEM_cert_to_DER_cert(found[0])) if found else None
        except (OSError, ValueError):
            return None

    def _show(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        # a context in use is never reloaded: with half of a bad pair it could serve nobody
        connection.context = self._current


@lru_cache(maxsize=256)
def client_context(tls: Tls) -> ssl.SSLContext:
    """Make a context that trusts the system's authorities and `tls.ca`, and presents `tls.cert` when asked for one.

    Cached by what the files held: a load of the routes makes it, and no connection depends on what became of the files.
    """
    context = _versions(ssl.create_default_context())
    if tls.ca:
        _trust(context, tls.ca)
    if tls.cert and tls.key:
        _show(context, tls.cert, tls.key)
    return context


def _versions(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


# ---- one file


def certificates(path: Path) -> bytes:
    """Read a file that must hold certificates."""
    data = _read(path)
    _trust(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), path)
    return data


def key_of(certificate: Path, path: Path) -> bytes:
    """Read a file that must hold the private key of this certificate."""
    data = _read(path)
    _show(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate, path)
    return data


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            permission_problem(path) or f"the file {path} cannot be read: {os_error_text(error)}"
        ) from None


def _trust(context: ssl.SSLContext, path: Path) -> None:
    _read(path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError:
        raise ConfigurationError(f"the file {path} holds no certificate in PEM") from None


def _show(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    certificates(certificate)
    _read(key)
    try:
        context.load_cert_chain(certificate, key, password=_NO_PASSWORD)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigurationError(f"the file {key} holds another key than that of {certificate}") from None
        raise ConfigurationError(f"the file {key} holds no private key in PEM, or one with a password") from None
