-- Who switched a webhook off, and what healing asks for by its state.

alter table switched_off add column ours integer not null default 0;  -- by amoCRM, for our failures; else by a person

create index heal_events_state on heal_events (source, state, at);
