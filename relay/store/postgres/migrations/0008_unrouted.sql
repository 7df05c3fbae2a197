-- Which events no route took, so that they can be counted without a look at the deliveries.
-- As in `0014_unrouted.sql` of the SQLite store.

alter table events add column unrouted smallint;  -- 1: no route took it; null: one did, or an earlier relay stored it

-- concurrently
create index concurrently events_unrouted on events (seq) where unrouted = 1 and erased_at is null;
