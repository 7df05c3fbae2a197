-- When those of a target died that are counted and alarmed about. As in `0015_deaths.sql` of the SQLite store.

-- concurrently
create index concurrently deliveries_deaths on deliveries (target, settled_at)
  where state = 'dead' and why <> 'reparsed' and dismissed_at is null;
