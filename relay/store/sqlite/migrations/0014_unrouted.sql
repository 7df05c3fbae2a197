-- Which events no route took, so that they can be counted without a look at the deliveries.

alter table events add column unrouted integer;  -- 1: no route took it; null: one did, or an earlier relay stored it

create index events_unrouted on events (seq) where unrouted = 1 and erased_at is null;
