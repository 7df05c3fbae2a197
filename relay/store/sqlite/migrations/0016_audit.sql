-- The audit by time: one page of a month is asked for.

create index audit_at on audit (at, id);
