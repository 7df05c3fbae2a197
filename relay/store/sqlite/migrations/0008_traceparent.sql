-- The trace that a webhook is part of.

alter table webhooks add column traceparent text;  -- the valid one that it came with; null: none, its id makes the trace
