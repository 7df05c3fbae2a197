-- Times are milliseconds since 1970 UTC, of the database's clock. `seq` is the order in which the database learned of a
-- row; ids are UUIDv7 in text. No foreign keys: each costs a row lock on the parent for each row.

create table relay_meta (              -- one row
  one    boolean primary key default true check (one),
  schema int not null,                 -- of the newest migration
  oldest int not null                  -- a relay that knows this schema, or a newer one, may still run
);
insert into relay_meta (schema, oldest) values (1, 1);

create sequence relay_incarnations;
create table relays (
  name        text collate "C" primary key,  -- that of its spool: stays over restarts
  incarnation bigint not null unique,        -- of one process; the high part of its claim tokens
  host        text not null,
  pid         int not null,
  version     text not null,
  schema      int not null,                  -- the newest one that it knows
  config      text not null default '',      -- digest of its routes file
  started_at  bigint not null,
  seen_at     bigint not null,
  beat        bigint not null default 0,     -- goes on while it lives: others watch it by their own steady clocks
  gone_at     bigint,                        -- stopped, or declared dead: it holds nothing any more
  spooled     bigint not null default 0,     -- webhooks in its spool; -1: not known, for it is gone and did not say
  spooled_at  bigint,                        -- arrival of the oldest of them
  forwarded   bigint not null default 0      -- webhooks that came from its spool; each forwarding writes here
) with (fillfactor = 50);

create table webhooks (
  seq          bigint generated always as identity primary key,
  id           text collate "C" not null unique,
  source       text not null,
  received_at  bigint not null,
  content_type text not null,
  request_id   text not null,
  body         bytea not null,
  query        text not null,
  signature    text not null,
  unparsed     text,                   -- why it could not be read; null once it could
  digest       bytea,                  -- of query and body; null where nobody asked whether it repeats
  dated        text collate "C" not null,    -- time in its first event, '0' if none; '' of an unparsed one
  checksum     bytea not null
);
alter table webhooks alter column body set storage external;  -- nobody gains by compressing a kilobyte
create index webhooks_received_at on webhooks (received_at, seq);
create index webhooks_unparsed on webhooks (id) where unparsed is not null;
create index webhooks_digest on webhooks (dated, digest) where digest is not null;  -- in the order of time

create table events (
  seq         bigint generated always as identity primary key,
  id          text collate "C" not null unique,
  webhook     bigint not null,
  kind        text collate "C" not null,     -- `event`, or `unparsed`: raw deliveries hang on it
  entity      text not null,
  action      text not null,
  entity_id   text not null,
  pipeline_id text,                    -- of the payload, as text: a payload that is no JSON must not fail a query
  received_at bigint not null,
  payload     bytea not null,          -- the event's JSON, byte for byte what targets receive
  checksum    bytea not null           -- of id and payload
);
create index events_webhook on events (webhook);
create index events_entity_id on events (left(entity_id, 64), seq);  -- an entry of a B-tree has at most 2,704 bytes

create table deliveries (
  event         bigint not null,
  target        text collate "C" not null,
  routes        text not null,         -- JSON list of names
  state         text collate "C" not null check (state in ('pending', 'delivered', 'dead')),
  claim         bigint,                -- the token of the present claim; null: nobody holds it
  attempt       int not null,          -- number of the last attempt given out
  base          int not null,          -- attempts before the last replay; the retry policy counts from here
  replays       int not null,
  pending_since bigint not null,       -- arrival or last replay
  due_at        bigint,                -- next attempt, or the end of the lease; null: an older one of its key goes first
  settled_at    bigint,
  why           text not null default '',
  key           bytea,                 -- BLAKE2b-128 of account, entity and id
  primary key (event, target)
);
create index deliveries_due on deliveries (target, due_at, event) where state = 'pending' and claim is null;
create index deliveries_claimed on deliveries (target, due_at, event) where state = 'pending' and claim is not null;
create index deliveries_key on deliveries (target, key, event) where state = 'pending' and key is not null;
create unique index deliveries_head on deliveries (target, key)
  where state = 'pending' and key is not null and due_at is not null;  -- one of a key is due, whoever inserts
create index deliveries_dead on deliveries (target) where state = 'dead' and why <> 'reparsed';
alter table deliveries set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
                            autovacuum_vacuum_cost_delay = 0);

create table attempts (
  event      bigint not null,
  target     text collate "C" not null,
  number     int not null,
  started_at bigint not null,
  took_us    bigint not null,
  verdict    text not null,
  reason     text not null,
  status     int,
  detail     text not null,
  primary key (event, target, number)
);

create table pauses (
  target    text collate "C" primary key,
  paused_at bigint not null,
  who       text not null,
  reason    text not null
);

create table conditions (              -- how each running relay sees its targets
  relay     text collate "C" not null,
  target    text collate "C" not null,
  health    text not null,
  since     bigint not null,
  as_of     bigint not null,
  error     text not null,
  in_flight int not null,
  slow      text not null,             -- JSON: ids of events under way for over 1 s
  probe_at  bigint,
  primary key (relay, target)
);

create table probes (                  -- targets that are to be probed at once, for an operator said so
  target text collate "C" primary key,
  at     bigint not null
);

create table reports (                 -- what each running relay said of itself
  relay text collate "C" not null,
  name  text collate "C" not null,
  as_of bigint not null,
  value text not null,                 -- JSON
  primary key (relay, name)
);

create sequence audit_changes;
create table audit (                   -- `seq` rises with every change, so that a relay sees at a glance what is new
  seq     bigint not null unique,
  id      text collate "C" primary key,
  at      bigint not null,
  who     text not null,
  command text not null,
  details text not null,               -- JSON object
  count   bigint not null
);

create table losses (                  -- webhooks that were answered 200 and are missing from the spool of a relay
  relay       text collate "C" not null,
  noticed_at  bigint not null,         -- by that relay
  count       bigint not null,         -- at most
  after       bigint,                  -- arrival of the newest webhook that was still there
  accepted_at bigint,                  -- null: no operator has said that he knows
  primary key (relay, noticed_at, count)
);
