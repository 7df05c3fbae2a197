-- Who switched a webhook off, and what healing asks for by its state. As in the file of the same name of SQLite.

alter table switched_off add column ours boolean not null default false;  -- by amoCRM, for our failures; else by a person

-- concurrently
create index concurrently heal_events_state on heal_events (source, state, at);
