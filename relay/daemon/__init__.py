"""The daemon of `relay run`: settings -> a relay that receives and delivers until it is stopped.

    process                 signals of the operating system, systemd, the exit code
    wiring                  connects the rooms: starts them in one order, stops them in the reverse
      │ settings            what cannot be reloaded; `cli.run` has the flags
      │ private_listener    metrics, health, the API and the console
      │ public_listener     the webhooks
      │ activation          has every part use new routes
      │ scrape              reads the gauges
      ▼
    background              endless loops; the relay stops if one of them ends:
      reloader              loads routes, certificate and tokens again when their files change
      stopped_routes        reroutes what waited for names in the routes
      readiness             probes the store
      recent_activity       counts the last hour and day
      refused_requests      counts, by the minute, what was not answered with 2xx
      published_reports     stores the daemon's own reports, for commands
      audit_log             logs the acts of operators
      notifications         imports `relay.notify` if the routes ask for it
    verifying               a process of its own, which checks the store

This file imports none of them: `verifying` is started by `python -m`, and must load no server.
"""
