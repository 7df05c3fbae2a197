"""Bytes and values in, values out: what amoCRM says, and how it says it. No I/O, no clock."""
