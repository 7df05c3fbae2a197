-- Indexes into whose random pages each commit wrote, in forms that grow at their end.

drop index events_entity_id;

create table entity_index (       -- filled in batches by the owner
  segment integer not null,       -- of seqs: a batch changes the pages of one segment, not of the whole index
  entity  not null,               -- the decimal id as an integer, else the start of the text
  event   integer not null,
  primary key (segment, entity, event)
) without rowid;

create table entity_indexed (     -- one row
  up_to integer not null          -- every event up to this seq is in the index
);
insert into entity_indexed values (0);

alter table webhooks add column dated;  -- the time in its first event, 0: none; null: unparsed, or kept by an earlier relay
drop index webhooks_digest;
create index webhooks_repeats on webhooks (source, dated, digest, received_at) where digest is not null;
