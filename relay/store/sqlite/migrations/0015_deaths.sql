-- When those of a target died that are counted and alarmed about.

create index deliveries_deaths on deliveries (target, settled_at)
  where state = 'dead' and why <> 'reparsed' and dismissed_at is null;
