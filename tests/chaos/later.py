"""`relay` of a later release, with two more migrations: one that adds, one that drops what is not used any more."""

from unittest.mock import patch

from relay.cli import main
from relay.store.postgres import migrate
from relay.store.postgres.migrate import Script

NOW = migrate.scripts()
NEWEST, OLDEST = NOW[-1].number, NOW[-1].oldest
WIDER = Script(
    NEWEST + 1,
    OLDEST,
    "alter table deliveries add column later text not null default '';",
    ("create index concurrently deliveries_settled_at on deliveries (settled_at)",),
)
NARROWER = Script(NEWEST + 2, NEWEST + 1, "alter table deliveries drop column later;")

if __name__ == "__main__":
    patch.object(migrate, "scripts", lambda: [*NOW, WIDER, NARROWER]).start()
    main()
