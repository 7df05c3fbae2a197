-- What amoCRM's own API tells, and what became of it.

-- `webhook`: it came; `heal`: made of an event of the account's feed that no webhook told of
alter table webhooks add column kind text not null default 'webhook';

create table heal_events (        -- events of the feed, one row for each channel that should have told of it
  source    text not null,
  channel   text not null,
  event_id  text not null,        -- of the feed
  type      text not null,        -- the feed's word
  action    text not null,        -- of the event that a webhook of it makes, `leads.status`
  entity    text not null,
  entity_id text not null,
  key       text not null,        -- only a hook with an equal key can match
  at        integer not null,     -- its time in the feed
  found_at  integer not null,
  state     text not null,
  before    text,                 -- JSON, as the next one; null once the state is final: a feed is full of people's data
  after     text,
  webhook   text,                 -- the id of the webhook that matches, heals, or came late
  item      integer not null default 0,
  reason    text not null default '',
  exactness text,
  approved  integer not null default 0,
  primary key (source, channel, event_id)
) without rowid;
create index heal_events_key on heal_events (source, channel, key, at);
create index heal_events_at on heal_events (at);
create index heal_events_late on heal_events (webhook) where state = 'late_hook';

create table hook_index (         -- what webhooks can tell of, a row for each item of a body and each key
  webhook     text not null,      -- its id; the webhook itself may be purged before
  item        integer not null,   -- which of its events
  channel     text not null,
  key         text not null,
  source      text not null,
  received_at integer not null,
  at          integer,            -- the time in the body
  arrived     integer,            -- on the account server's clock; null: its offset was not known
  since       integer not null,   -- the events that it can tell of: since <= at <= until
  until       integer not null,
  matched     text,               -- the event_id that it was spent on
  primary key (webhook, item, channel, key)
) without rowid;
create index hook_index_key on hook_index (source, channel, key, since);
create index hook_index_until on hook_index (until);

alter table spooled add column if_late text;  -- JSON: targets that get it even if it is late, see `PlannedDelivery`

create table heal_marks (         -- everything of the lane up to then has been scanned completely
  source text not null,
  lane   text not null,
  upto   integer not null,
  primary key (source, lane)
) without rowid;

create table run_marks (          -- when a relay ran that heals: one row for each span without a gap
  began_at integer primary key,
  ended_at integer not null       -- its last heartbeat
);

create table heal_requests (      -- scans that operators ask for, which the relay carries out
  id       text primary key,      -- of the audit entry
  source   text not null,
  since    integer not null,
  dry_run  integer not null,
  asked_at integer not null,
  answer   text                   -- JSON; null: not done yet
) without rowid;

create table guards (             -- what the guard of a source knows of its webhook in amoCRM
  source      text primary key,
  state       text,
  since       integer,            -- of the state
  checked_at  integer,
  detail      text not null default '',
  seen_on_at  integer,            -- the webhook was last seen switched on
  disabled_at integer,            -- it was first seen switched off; null while it is on
  spent_at    integer,            -- failed answers before have been the reason for a try to switch it on
  recreating  text not null default '[]',  -- JSON: settings of a webhook that is to be created anew
  off         integer not null default 0,  -- by an operator, as the next one
  resumed_at  integer
) without rowid;

create table refusals (           -- webhooks that were not answered with 2xx
  source text not null,
  minute integer not null,        -- its begin
  number integer not null,
  primary key (source, minute)
) without rowid;

create table switched_off (       -- spans in which a person had switched the webhook off
  source text not null,
  since  integer not null,
  until  integer,                 -- null: it still is
  primary key (source, since)
) without rowid;

-- until then a delivery waits for what is fetched beside its event; null: it does not, or not any more
alter table deliveries add column held integer;
create index deliveries_held on deliveries (held) where held is not null;

create table enrichments (        -- what was fetched beside events, once
  event    integer primary key references events (seq),
  at       integer not null,
  value    blob,                  -- JSON; null: nothing was
  reason   text not null,         -- why
  checksum blob not null          -- of event and value
);
