"""PEM files -> contexts for TLS 1.2 and newer, as a server and as a client; or, in words, what is wrong with a file.

Everything here may raise ConfigurationError, with a text that names the file and shows nothing of what is in it.
"""

import ssl
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from relay.errors import ConfigurationError
from relay.model import Tls
from relay.os_errors import os_error_text, permission_problem

_NO_PASSWORD = ""  # without one OpenSSL would ask the terminal for that of an encrypted key


class Certificate:
    """What the public listener shows: `context` is for the listener, `use` changes what new connections get."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self.files = (certificate, key)
        self.context = self._current = self.read()
        self.context.sni_callback = self._show

    def read(self, note: Callable[[Path], object] = lambda _path: None) -> ssl.SSLContext:
        """The files as they are now, for `use`; `note` is told of each before."""
        for file in self.files:
            note(file)
        context = _versions(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        _show(context, *self.files)
        return context

    def use(self, context: ssl.SSLContext) -> None:
        """From now on this one. Connections that are open stay as they are."""
        self._current = context

    def _show(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        # nothing is loaded into a live context: with half of a bad pair it could serve nobody
        connection.context = self._current


@lru_cache(maxsize=256)
def client_context(tls: Tls) -> ssl.SSLContext:
    """Trusts whom the system trusts and `tls.ca`, and shows `tls.cert` to who asks for one.

    Made once for what the files held, so that a load has it made, and no connection depends on what became of them.
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
    """What the file holds, which must be certificates."""
    data = _read(path)
    _trust(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), path)
    return data


def key_of(certificate: Path, path: Path) -> bytes:
    """What the file holds, which must be the private key of a certificate that is in order."""
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
