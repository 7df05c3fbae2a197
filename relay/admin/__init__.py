"""The private listener: metrics, health, reload, the event stream."""
