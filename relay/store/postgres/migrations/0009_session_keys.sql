-- The key of the console's cookies, which the relays share. With a SQLite store it is a file beside it.

create table session_keys (
  name text collate "C" primary key,
  key  bytea not null             -- 32 random bytes
);
