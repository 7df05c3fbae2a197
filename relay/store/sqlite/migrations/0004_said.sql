-- What an address said beside the body, webhooks that cannot be read on their way to targets, what a daemon reports.

alter table webhooks add column query     text not null default '';  -- of the address, as it came, without the `?`
alter table webhooks add column signature text not null default '';  -- X-Signature

-- `event`, or `unparsed`: a raw delivery hangs on it, and its payload is empty
alter table events add column kind text not null default 'event';

-- what is counted and alarmed about: what is dead as reparsed has events in its place
drop index deliveries_dead;
create index deliveries_dead on deliveries (target) where state = 'dead' and why <> 'reparsed';

alter table conditions add column in_flight integer not null default 0;  -- attempts under way
alter table conditions add column slow      text not null default '[]';  -- JSON: ids of events under way for over 1 s
alter table conditions add column probe_at  integer;                     -- when an open target is asked next

create table reports (            -- what the running daemon, or the one before, said of itself
  name  text primary key,
  as_of integer not null,
  value text not null             -- JSON
) without rowid;

create table probes (             -- targets that are to be asked at once if they are held, for an operator says so
  target text primary key,
  at     integer not null
) without rowid;

-- `seq` rises with every change, so that the running daemon sees at a glance what is new; the ids are of anybody's clock
create table acts (
  seq     integer primary key,
  id      text not null unique,   -- UUIDv7
  at      integer not null,
  who     text not null,
  command text not null,
  details text not null,          -- JSON object
  count   integer not null
);
insert into acts (id, at, who, command, details, count)
  select id, at, who, command, details, count from audit order by at, id;
drop table audit;
alter table acts rename to audit;
