-- Data of persons that was erased: what stays known of it are ids.

create table tombstones (         -- what happened to these up to `at` is not to come back
  entity    text not null,
  entity_id text not null,
  source    text not null,        -- only of this source; empty: of every one
  at        integer not null,
  act       text not null,        -- the audit entry of the erasure
  primary key (entity, entity_id, source)
) without rowid;

create table erasures (           -- acts of erasure
  act          text primary key,
  at           integer not null,
  rewritten_at integer            -- when the pages of this file held nothing of it any more; null: not yet
) without rowid;

alter table events add column erased_at integer;  -- its payload are ids alone since then
