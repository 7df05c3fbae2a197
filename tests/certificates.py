"""Certificates of an authority made for the tests -> files, contexts, and what a server shows."""

import asyncio
import ssl
from dataclasses import dataclass, field
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The files of a certificate for this machine; `issue` writes another one into them."""

    certificate: Path
    key: Path
    authority: trustme.CA = field(default_factory=trustme.CA)

    @classmethod
    def within(cls, folder: Path) -> "Pair":
        """One that is issued."""
        pair = cls(certificate=folder / "tls.pem", key=folder / "tls.key")
        pair.issue()
        return pair

    @property
    def files(self) -> tuple[Path, Path]:
        return self.certificate, self.key

    def issue(self) -> None:
        """A new certificate with a new key."""
        issued = self.authority.issue_cert("localhost", "127.0.0.1")
        self.certificate.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(self.key)

    def client(self) -> ssl.SSLContext:
        """A context that trusts the authority, and it alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.authority.configure_trust(context)
        return context


async def shown(port: int, context: ssl.SSLContext, *, name: str | None = "localhost") -> bytes | None:
    """The certificate that a new connection gets; without a `name` none is asked for."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name or "")
    try:
        certificate: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return certificate
    finally:
        writer.transport.abort()
