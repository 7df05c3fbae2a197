-- Data of persons that was erased: what stays known of it are ids. As in the file of the same name of SQLite.

create table tombstones (         -- what happened to these up to `at` is not to come back
  entity    text collate "C" not null,
  entity_id text collate "C" not null,
  source    text collate "C" not null,  -- only of this source; empty: of every one
  at        bigint not null,
  act       text collate "C" not null,  -- the audit entry of the erasure
  primary key (entity, entity_id, source)
);

create table erasures (           -- acts of erasure
  act          text collate "C" primary key,
  at           bigint not null,
  rewritten_at bigint             -- when the tables were rewritten by request; null: never
);

create table erased_spools (      -- relays whose spool holds nothing of it any more
  act   text collate "C" not null,
  relay text collate "C" not null,
  at    bigint not null,
  primary key (act, relay)
);

alter table events add column erased_at bigint;  -- its payload are ids alone since then
