"""Questions and acts of operators."""
