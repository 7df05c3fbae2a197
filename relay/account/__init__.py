"""amoCRM's own API: what the account of a source tells beside its webhooks."""
