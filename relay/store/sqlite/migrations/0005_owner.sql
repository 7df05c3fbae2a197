-- Who owns the store, and the claim token of each delivery.

-- The fencing token: made anew at each claim and each claim at insert, never used twice. 0: never claimed since 0005.
alter table deliveries add column claim integer not null default 0;

create table relays (             -- the owner, or the last one: this store has one at a time, so one row
  name        text primary key,   -- stays over restarts
  incarnation integer not null,   -- of one process, counted up at each start; the high part of its claim tokens
  host        text not null,
  pid         integer not null,
  version     text not null,
  started_at  integer not null
) without rowid;
