"""What libpq cannot use of a URL shows without a server, and without a word of a password."""

import time

import pytest

from relay.store.postgres.dsn import check_dsn


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("nonsense=1", 'invalid URI query parameter: "nonsense"'),
        ("sslmode=banana", 'invalid sslmode value: "banana"'),
        ("service=nowhere", 'definition of service "nowhere" not found'),
    ],
)
def test_what_libpq_does_not_take_is_misuse(query: str, said: str) -> None:
    with pytest.raises(ValueError, match="PostgreSQL") as refused:
        check_dsn(f"postgresql://relay:hunter2@db1,db2:5433/relay?{query}")
    assert str(refused.value) == f"the URL of the PostgreSQL store cannot be used: {said}"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://relay:hunter2@db1,db2:5433,[2001:db8::1]:5434/relay?sslmode=verify-full&sslrootcert=/nowhere",
        "postgresql:///relay?host=/run/postgresql",
        "postgresql://relay@%2Frun%2Fpostgresql/relay",
        "postgresql://relay@db1/relay?hostaddr=192.0.2.1&target_session_attrs=any&options=-csearch_path%3Drelay",
        "postgresql://",
    ],
)
def test_what_it_takes_is_not_connected_to(url: str) -> None:
    began = time.monotonic()
    check_dsn(url)
    assert time.monotonic() - began < 2
