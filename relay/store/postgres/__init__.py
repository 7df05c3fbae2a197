"""The store that several relays share: PostgreSQL 15 or newer, by psycopg 3."""
