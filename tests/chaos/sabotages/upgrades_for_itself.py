"""`relay` of a later release, with one promise broken: the release before cannot write what its migration adds."""

from unittest.mock import patch

from relay.cli import main
from relay.store.postgres import ingest_sql, migrate
from relay.store.postgres.migrate import Script

NOW = migrate.scripts()
ALONE = Script(
    NOW[-1].number + 1,
    NOW[-1].oldest,
    "alter table deliveries add column later text not null default '';"
    " alter table deliveries alter column later drop default;",
)
COLUMNS, VALUES = "insert into deliveries (event,", "select event, target, routes, 'pending',"


def with_later(sql: str) -> str:
    """The statement of intake, with the column that it has to fill."""
    assert COLUMNS in sql
    assert VALUES in sql
    return sql.replace(COLUMNS, f"{COLUMNS} later,").replace(VALUES, VALUES.replace("event,", "event, '',"))


if __name__ == "__main__":
    patch.object(migrate, "scripts", lambda: [*NOW, ALONE]).start()
    patch.dict(ingest_sql.KEEP, {ordered: with_later(sql) for ordered, sql in ingest_sql.KEEP.items()}).start()
    patch.object(ingest_sql, "ADD_EVENTS", with_later(ingest_sql.ADD_EVENTS)).start()
    main()
