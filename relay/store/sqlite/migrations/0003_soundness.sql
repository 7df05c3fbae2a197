-- What the disk may lose or change without SQLite noticing.

-- BLAKE2b-128 of the body; of the event's id and payload. Null where an earlier relay kept it.
alter table webhooks add column checksum blob;
alter table events add column checksum blob;

create table losses (             -- webhooks that were answered 200, and were not in the database any more at a start
  first       integer not null,   -- from this seq
  last        integer not null,   -- to that one
  after       integer,            -- arrival of the newest webhook that was still there
  noticed_at  integer not null,
  accepted_at integer,            -- null: no operator has said that he knows
  primary key (first, last)
) without rowid;
