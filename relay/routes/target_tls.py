"""Document -> TLS settings of a target: the PEM files are read and checked."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from relay.errors import ConfigurationError
from relay.model import Tls
from relay.routes.diagnostics import Unfit, Where
from relay.routes.reader import Reader
from relay.tls import certificates, key_of


def read_tls(reader: Reader, where: Where, url: str) -> Tls | None:
    """The `tls` of the target at `where`, if it has one; `url` is the target's."""
    here = (*where, "tls")
    if not reader.document.has(here):
        return None
    if url.lower().startswith("http:"):
        reader.wrong(here, "is for a URL that starts with https://")
    _require_both(reader, here)
    digest = hashlib.sha256()

    def file(name: str, read: Callable[[Path], bytes]) -> Path | None:
        def taken(text: str) -> Path | None:
            path = _absolute(text)
            if reader.sealed or (reader.stand_ins and not os.access(path, os.R_OK)):
                return None
            reader.on_open(path)
            try:
                digest.update(read(path))
            except ConfigurationError as error:
                raise Unfit(str(error)) from None
            return path

        return reader.take((*here, name), taken, None)

    ca, cert = file("ca", certificates), file("cert", certificates)
    key = file("key", lambda path: key_of(cert, path)) if cert else None
    return Tls(ca=ca, cert=cert, key=key, digest=digest.hexdigest())


def _require_both(reader: Reader, where: Where) -> None:
    names = [name for name in ("cert", "key") if reader.document.has((*where, name))]
    if len(names) == 1:
        reader.wrong((*where, names[0]), "cert and key go together")


def _absolute(text: str) -> Path:
    path = Path(text)
    if not path.is_absolute():
        raise Unfit("must be the absolute path of a PEM file")
    return path
