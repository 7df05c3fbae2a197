-- The trace that a webhook is part of: the valid traceparent that it came with; null: none, its id makes the trace.
alter table webhooks add column traceparent text;
