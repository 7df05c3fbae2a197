-- The audit by time. As in `0016_audit.sql` of the SQLite store.

-- concurrently
create index concurrently audit_at on audit (at, id);
