-- Attempts by their time, and webhooks that were refused. Columns as in `0012_questions.sql` of the SQLite store.

-- 0: it began within seconds of its event's arrival, so that the arrival leads to it; null: an earlier relay made it
alter table attempts add column late smallint;

alter table conditions add column delivered_at bigint;  -- the last attempt that delivered
alter table conditions add column rate double precision not null default 0;  -- so many did a second, in the last minute

create table refused (            -- requests that a relay did not answer with 2xx, but strangers'
  minute  bigint not null,        -- its begin
  source  text collate "C" not null,
  reason  text collate "C" not null,
  relay   text collate "C" not null,
  count   bigint not null,
  last_at bigint not null,        -- of the last one of the minute, as what follows
  detail  text not null,
  remote  text not null,
  address text not null,
  primary key (minute, source, reason, relay)
);

-- concurrently
create index concurrently attempts_failed on attempts (started_at, event, target, number)
  where verdict <> 'delivered';
create index concurrently attempts_late on attempts (started_at, event, target, number)
  where verdict = 'delivered' and late is distinct from 0;
create index concurrently deliveries_died on deliveries (event, target) where state = 'dead';
