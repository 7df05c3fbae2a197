"""Receivers of notifications, each a file: a notification -> what its API takes; what that answers -> Reply."""
