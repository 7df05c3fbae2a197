"""Deliveries -> targets: one lane per target, attempts until a delivery is delivered or dead."""
