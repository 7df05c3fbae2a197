-- What is dead or unparsed, and understood: no longer counted or alarmed about.

alter table deliveries add column dismissed_at bigint;  -- set only while it is dead

create table dismissed (          -- unparsed webhooks
  webhook bigint primary key,
  at      bigint not null
);

-- concurrently
create index concurrently deliveries_undismissed on deliveries (target, event)
  where state = 'dead' and why <> 'reparsed' and dismissed_at is null;
