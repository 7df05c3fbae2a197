-- What is dead or unparsed, and understood: no longer counted or alarmed about.

alter table deliveries add column dismissed_at integer;  -- set only while it is dead

-- what is counted and alarmed about; in the order in which it is dismissed
drop index deliveries_dead;
create index deliveries_dead on deliveries (target, event)
  where state = 'dead' and why <> 'reparsed' and dismissed_at is null;

create table dismissed (          -- unparsed webhooks: a column after the body would be slow to count
  webhook integer primary key,
  at      integer not null
);
