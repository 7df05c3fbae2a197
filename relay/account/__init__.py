"""amoCRM's own API."""
