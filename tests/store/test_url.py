"""The text of `--store` -> what it names; a password is in the DSN and nowhere else."""

from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.daemon.settings import Settings
from relay.errors import ConfigurationError
from relay.store.url import PostgresUrl, SqliteUrl, parse_store_url, store_url_text

SECRET = "k8dQ-not-to-be-seen"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://relay@db1/relay", "postgresql://relay@db1/relay"),
        ("postgres://relay@db1/relay", "postgresql://relay@db1/relay"),
        (f"postgresql://relay:{SECRET}@db1/relay", "postgresql://relay@db1/relay"),
        (f"postgresql://:{SECRET}@db1/relay", "postgresql://@db1/relay"),
        (
            f"postgresql://relay:{SECRET}@db1:5433,[2001:db8::1]:5434,db3/relay?sslmode=verify-full",
            "postgresql://relay@db1:5433,[2001:db8::1]:5434,db3/relay?sslmode=verify-full",
        ),
        (
            f"postgresql://db1/relay?password={SECRET}&connect_timeout=2&sslpassword={SECRET}",
            "postgresql://db1/relay?connect_timeout=2",
        ),
        ("postgresql:///relay?host=/run/postgresql", "postgresql:///relay?host=/run/postgresql"),
        ("postgresql://relay@%2Frun%2Fpostgresql/relay", "postgresql://relay@%2Frun%2Fpostgresql/relay"),
        ("postgresql://", "postgresql://"),
    ],
)
def test_a_postgresql_url_is_shown_without_its_password(text: str, shown: str) -> None:
    url = parse_store_url(text)
    assert isinstance(url, PostgresUrl)
    assert str(url) == shown
    assert url.dsn == text.replace("postgres://", "postgresql://")
    settings = Settings(config=Path("routes.yaml"), store=url)
    assert SECRET not in f"{url} {url!r} {settings} {settings!r}"
    assert asdict(url)["prepare"]


@pytest.mark.parametrize(
    ("query", "prepare", "kept"),
    [
        ("prepare=off", False, ""),
        ("prepare=on", True, ""),
        ("sslmode=require&prepare=off&connect_timeout=3", False, "?sslmode=require&connect_timeout=3"),
        ("sslmode=require", True, "?sslmode=require"),
    ],
)
def test_prepare_is_ours_and_taken_out(query: str, prepare: bool, kept: str) -> None:
    url = parse_store_url(f"postgresql://db1/relay?{query}")
    assert url == PostgresUrl(
        dsn=f"postgresql://db1/relay{kept}", shown=f"postgresql://db1/relay{kept}", prepare=prepare
    )


@pytest.mark.parametrize(
    "text",
    [
        "postgresql:db1/relay",
        f"postgresql://relay:{SECRET}@x@db1/relay",
        f"postgresql://relay:x/{SECRET}@db1/relay",
        f"postgresql://relay:x?{SECRET}@db1/relay",
        f"postgresql://relay:x%{SECRET}@db1/relay",
        f"postgresql://relay:x%00{SECRET}@db1/relay",
        f"postgresql://relay:x {SECRET}@db1/relay",
        f"postgresql://relay:{SECRET}\n@db1/relay",
        f"postgresql://relay:{SECRET}@db1:port/relay",
        f"postgresql://relay:{SECRET}@db1:0/relay",
        f"postgresql://relay:{SECRET}@db1,db2:65536/relay",
        f"postgresql://relay:{SECRET}@[db1/relay",
        f"postgresql://relay:{SECRET}/relay",
        f"postgresql://db1/relay/{SECRET}",
        f"postgresql://db1/relay?password={SECRET}=",
        f"postgresql://db1/relay?{SECRET}",
        f"postgresql://db1/relay?prepare={SECRET}",
        f"mysql://relay:{SECRET}@db1/relay",
    ],
)
def test_what_libpq_would_quote_or_retry_for_ever_is_refused_unquoted(text: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_store_url(text)
    assert SECRET not in str(refused.value)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_a_value_in_place_of_a_reference_stays_one_part_of_the_url(value: str) -> None:
    url = parse_store_url("postgresql://relay:${PASSWORD}@db1/relay", expand={"${PASSWORD}": value}.__getitem__)
    assert str(url) == "postgresql://relay@db1/relay"


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:///relay.db",
        "sqlite:////var/lib/relay/relay.db",
        "sqlite:///a:b/c?d=e%20\n.db",
        "sqlite:///\udcff.db",
        "postgresql://relay:p%40ss@db1,db2:5433/relay?sslmode=require",
        "postgresql://db1/relay?prepare=off",
        "postgresql://db1/relay?sslmode=require&prepare=off&password=x",
    ],
)
def test_a_url_that_is_written_is_read_as_the_same(text: str) -> None:
    url = parse_store_url(text)
    again = parse_store_url(store_url_text(url))
    assert (again, str(again)) == (url, str(url))


def test_a_folder_is_no_file_and_a_password_no_file_either(tmp_path: Path) -> None:
    assert parse_store_url("sqlite:////srv/${x}/relay.db") == SqliteUrl(Path("/srv/${x}/relay.db"))
    with pytest.raises(ConfigurationError, match="is a folder"):
        parse_store_url(f"sqlite:///{tmp_path}")
