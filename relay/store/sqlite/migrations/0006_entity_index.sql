-- Events by what they are about: a commit writes no index of it, the owner adds rows later, in batches.

drop index events_entity_id;

create table entity_index (
  segment integer not null,       -- of seqs: a batch changes the pages of one segment, not of the whole index
  entity  not null,               -- the decimal id as an integer, else the start of the text
  event   integer not null,
  primary key (segment, entity, event)
) without rowid;

create table entity_indexed (     -- one row
  up_to integer not null          -- every event up to this seq is in the index
);
insert into entity_indexed values (0);
