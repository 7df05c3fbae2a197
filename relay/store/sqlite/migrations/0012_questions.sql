-- Attempts by their time, and webhooks that were refused.

-- 0: it began within seconds of its event's arrival, so that the arrival leads to it; null: an earlier relay made it
alter table attempts add column late integer;
-- an attempt that delivers at once, as nearly all do, is in neither index: they cost it no page
create index attempts_failed on attempts (started_at, event, target, number) where verdict <> 'delivered';
create index attempts_late on attempts (started_at, event, target, number)
  where verdict = 'delivered' and late is not 0;

-- also what nobody counts any more: the listing has all that is dead
create index deliveries_died on deliveries (event, target) where state = 'dead';

alter table conditions add column delivered_at integer;           -- the last attempt that delivered
alter table conditions add column rate real not null default 0;   -- how many did a second, within the last minute

create table refused (            -- requests that were not answered with 2xx, but strangers'
  minute  integer not null,       -- its begin
  source  text not null,          -- `-` unless the token was right
  reason  text not null,
  count   integer not null,
  last_at integer not null,       -- of the last one of the minute, as what follows
  detail  text not null,
  remote  text not null,
  address text not null,
  primary key (minute, source, reason)
) without rowid;
