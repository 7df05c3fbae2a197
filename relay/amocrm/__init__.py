"""amoCRM's webhook format -> events, and back to sample bodies and forms. Pure: no I/O, no clock."""
