-- A file that is the spool of a relay which shares a store with others.

create table spool (              -- one row: this is a spool; none: a relay's own store, which is never forwarded
  clock_offset integer not null   -- ms that the shared store's clock was ahead of this machine's, when seen last
);

create table spooled (            -- what forwarding needs to know of a webhook beside its rows; none: the defaults
  webhook      integer primary key,
  equal_within integer,           -- ms: the windows it was kept with, see `contract.IngestStore.keep`
  dated_within integer,
  refused      text               -- why the shared store refuses it: set apart; null: to be forwarded
);
