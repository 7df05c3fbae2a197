"""When a certificate ends, beside what the library that made it says."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography.x509 import load_pem_x509_certificate
from hypothesis import given
from hypothesis import strategies as st

from relay.certificate_expiry import ends_at
from relay.tls import Certificate

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "until", [NOW + timedelta(days=30), datetime(2049, 12, 31, tzinfo=UTC), datetime(2055, 1, 1, tzinfo=UTC)]
)
@pytest.mark.parametrize("kind", [trustme.KeyType.ECDSA, trustme.KeyType.RSA])
def test_the_end_is_read(until: datetime, kind: trustme.KeyType) -> None:
    issued = trustme.CA().issue_cert("relay.example", not_after=until, key_type=kind)
    pem = issued.cert_chain_pems[0].bytes()
    end = ends_at(ssl.PEM_cert_to_DER_cert(pem.decode()))
    assert end == load_pem_x509_certificate(pem).not_valid_after_utc == until


@given(st.binary(max_size=200))
def test_other_bytes_are_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        ends_at(data)


def test_a_listener_tells_the_end_of_the_certificate_in_use(tmp_path: Path) -> None:
    authority, pair = trustme.CA(), (tmp_path / "tls.pem", tmp_path / "tls.key")

    def renew(until: datetime) -> None:
        issued = authority.issue_cert("relay.example", not_after=until)
        pair[0].write_bytes(b"# the chain\n" + b"".join(each.bytes() for each in issued.cert_chain_pems))
        pair[1].write_bytes(issued.private_key_pem.bytes())

    renew(NOW + timedelta(days=3650))
    certificate = Certificate(*pair)
    assert certificate.ends_at == NOW + timedelta(days=3650)
    renew(NOW + timedelta(days=7300))
    assert certificate.ends_at == NOW + timedelta(days=3650)
    certificate.use(certificate.read())
    assert certificate.ends_at == NOW + timedelta(days=7300)
