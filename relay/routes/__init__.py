"""The routes file -> compiled routes and target settings, warnings, explanations."""
