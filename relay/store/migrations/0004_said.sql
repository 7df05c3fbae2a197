-- What an address said beside the body, webhooks that cannot be read on their way to targets, what a daemon reports.

alter table webhooks add column query     text not null default '';  -- of the address, as it came, without the `?`
alter table webhooks add column signature text not null default '';  -- X-Signature

-- `event`, or `unparsed`: a raw delivery hangs on it, and its payload is empty
alter table events add column kind text not null default 'event';

alter table conditions add column in_flight integer not null default 0;  -- attempts under way
alter table conditions add column slow      text not null default '[]';  -- JSON: ids of events under way for over 1 s
alter table conditions add column probe_at  integer;                     -- when an open target is asked next

create table reports (            -- what the running daemon, or the one before, said of itself
  name  text primary key,
  as_of integer not null,
  value text not null             -- JSON
) without rowid;
