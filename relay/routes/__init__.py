"""What operators write: the routes file, compiled into who gets which event."""
