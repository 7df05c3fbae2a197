-- Times are milliseconds since 1970 UTC. `seq` is the order of arrival; ids are UUIDv7 in text.

create table webhooks (
  seq          integer primary key autoincrement,
  id           text not null unique,
  source       text not null,
  received_at  integer not null,
  content_type text not null,
  request_id   text not null,
  body         blob not null,
  unparsed     text              -- why it could not be read; null once it could
);
create index webhooks_unparsed on webhooks (id) where unparsed is not null;

create table events (
  seq         integer primary key autoincrement,
  id          text not null unique,
  webhook     integer not null references webhooks (seq),
  entity      text not null,
  action      text not null,
  entity_id   text not null,
  received_at integer not null,
  payload     blob not null      -- the event's JSON, byte for byte what targets receive
);
create index events_webhook on events (webhook);
create index events_entity_id on events (entity_id);

create table deliveries (
  event         integer not null references events (seq),
  target        text not null,
  routes        text not null,   -- JSON list of names
  state         text not null check (state in ('pending', 'delivered', 'dead')),
  claimed       integer not null,
  attempt       integer not null, -- the number of the last attempt given out: the fencing token
  base          integer not null, -- attempts before the last replay; the retry policy counts from here
  replays       integer not null,
  pending_since integer not null, -- arrival or last replay
  due_at        integer,          -- next attempt, or the end of the lease; null: an older one with its key goes first
  settled_at    integer,
  why           text not null default '',
  key           text,
  primary key (event, target)
) without rowid;
create index deliveries_due on deliveries (claimed, target, due_at) where state = 'pending';
create index deliveries_key on deliveries (target, key, event) where state = 'pending' and key is not null;
create index deliveries_dead on deliveries (target) where state = 'dead';

create table attempts (
  event      integer not null,
  target     text not null,
  number     integer not null,
  started_at integer not null,
  took_us    integer not null,
  verdict    text not null,
  reason     text not null,
  status     integer,
  detail     text not null,
  primary key (event, target, number),
  foreign key (event, target) references deliveries (event, target)
) without rowid;
