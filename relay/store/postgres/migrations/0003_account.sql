-- What amoCRM's own API tells, and what became of it. Columns as in the file of the same name of the SQLite store.

-- `webhook`: it came; `heal`: made of an event of the account's feed that no webhook told of
alter table webhooks add column kind text collate "C" not null default 'webhook';

create table heal_events (        -- events of the feed, one row for each channel that should have told of it
  source    text collate "C" not null,
  channel   text collate "C" not null,
  event_id  text collate "C" not null,
  type      text not null,        -- the feed's word
  action    text not null,        -- of the event that a webhook of it makes, `leads.status`
  entity    text not null,
  entity_id text not null,
  key       text collate "C" not null,
  at        bigint not null,      -- its time in the feed
  found_at  bigint not null,
  state     text collate "C" not null,
  before    text,                 -- JSON, as the next one; null once the state is final: a feed is full of people's data
  after     text,
  webhook   text collate "C",     -- the id of the webhook that matches, heals, or came late
  item      int not null default 0,
  reason    text not null default '',
  exactness text,
  approved  boolean not null default false,
  primary key (source, channel, event_id)
);
create index heal_events_key on heal_events (source, channel, key, at);
create index heal_events_at on heal_events (at);
create index heal_events_late on heal_events (webhook) where state = 'late_hook';

create table hook_index (         -- what webhooks can tell of, a row for each item of a body and each key
  webhook     text collate "C" not null,
  item        int not null,
  channel     text collate "C" not null,
  key         text collate "C" not null,
  source      text collate "C" not null,
  received_at bigint not null,
  at          bigint,             -- the time in the body
  arrived     bigint,             -- on the account server's clock; null: its offset was not known
  since       bigint not null,    -- the events that it can tell of: since <= at <= until
  until       bigint not null,
  matched     text collate "C",   -- the event_id that it was spent on
  primary key (webhook, item, channel, key)
);
create index hook_index_key on hook_index (source, channel, key, since);
create index hook_index_until on hook_index (until);

create table heal_marks (         -- everything of the lane up to then has been scanned completely
  source text collate "C" not null,
  lane   text collate "C" not null,
  upto   bigint not null,
  primary key (source, lane)
);

create table run_marks (          -- when a relay ran that heals: one row for each span of one relay without a gap
  relay    text collate "C" not null,
  began_at bigint not null,
  ended_at bigint not null,       -- its last heartbeat
  primary key (relay, began_at)
);

create table heal_requests (      -- scans that operators ask for, which the leading relay carries out
  id       text collate "C" primary key,   -- of the audit entry
  source   text collate "C" not null,
  since    bigint not null,
  dry_run  boolean not null,
  asked_at bigint not null,
  answer   text                   -- JSON; null: not done yet
);

create table guards (             -- what the guard of a source knows of its webhook in amoCRM
  source      text collate "C" primary key,
  state       text,
  since       bigint,             -- of the state
  checked_at  bigint,
  detail      text not null default '',
  seen_on_at  bigint,             -- the webhook was last seen switched on
  disabled_at bigint,             -- it was first seen switched off; null while it is on
  spent_at    bigint,             -- failed answers before have been the reason for a try to switch it on
  recreating  text not null default '[]',  -- JSON: settings of a webhook that is to be created anew
  off         boolean not null default false,  -- by an operator, as the next one
  resumed_at  bigint
);

create table refusals (           -- webhooks that a relay did not answer with 2xx
  source text collate "C" not null,
  relay  text collate "C" not null,
  minute bigint not null,         -- its begin
  number int not null,
  primary key (source, minute, relay)
);

create table switched_off (       -- spans in which a person had switched the webhook off
  source text collate "C" not null,
  since  bigint not null,
  until  bigint,                  -- null: it still is
  primary key (source, since)
);

create table account_records (    -- what relays share of an account of amoCRM; with a SQLite store a file beside it
  account  text collate "C" primary key,
  document text not null          -- JSON with the tokens of a grant; held `for update` while they are renewed
);

-- until then a delivery waits for what is fetched beside its event; null: it does not, or not any more
alter table deliveries add column held bigint;
create index deliveries_held on deliveries (held) where held is not null;

create table enrichments (        -- what was fetched beside events, once
  event    bigint primary key,
  at       bigint not null,
  value    bytea,                 -- JSON; null: nothing was
  reason   text not null,         -- why
  checksum bytea not null         -- of event and value
);
