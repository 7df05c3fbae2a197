-- Day-2 operation: repeated webhooks, paused targets, the audit, retention.

-- BLAKE2b-128 of the body; null where nobody asked whether it repeats, or an earlier relay kept it.
alter table webhooks add column digest blob;
create index webhooks_digest on webhooks (source, digest, received_at) where digest is not null;

create index webhooks_received_at on webhooks (received_at);  -- what to purge, from the oldest on

create table pauses (
  target    text primary key,
  paused_at integer not null,
  who       text not null,
  reason    text not null
) without rowid;

create table conditions (         -- how the targets of the running daemon stand, or of the one before
  target text primary key,
  health text not null,
  since  integer not null,
  as_of  integer not null,
  error  text not null
) without rowid;

create table audit (
  id      text primary key,       -- UUIDv7
  at      integer not null,
  who     text not null,
  command text not null,
  details text not null,          -- JSON object
  count   integer not null
) without rowid;
