"""Bytes with a token -> committed webhooks."""
