"""amocrm-relay: receive amoCRM's webhooks, commit them to disk, deliver their events at least once.

    POST /hooks/{source}/{token}
      │ http.acceptor       accepts connections; over the limit it evicts the one that has been idle longest
      │ ingest.endpoint     checks path, token and size, and reads the body if ingest.budget has memory for it
      │ ingest.decode       decodes all bodies of one turn of the event loop together
      ▼
    amocrm.form             bytes -> tree            leads[add][0][id]=7 -> {"leads": {"add": {"0": {"id": "7"}}}}
    amocrm.events           tree  -> [Event]         one body, one or more events
      ▼
    routes.match            Event -> targets         by the YAML file that routes.config compiled
      ▼
    ingest.commit           retries until the webhook is stored; replies 503 after 1.5 s and goes on
      ▼
    store                   webhook, events and deliveries in one transaction, then the 200
      ▼
    delivery.dispatcher     a lane for each target: claim -> render -> send -> retry? -> settle
      ▼
    the target              replies 2xx, or the delivery is retried, or it is dead and kept

Beside the flow: `daemon` wires it, and `process` runs that until a signal. `reloader` activates the routes and the
certificate when `file_versions` finds their files changed, `readiness` probes the store, `audit_log` logs what
operators did, `published_reports` stores what the daemon reports of itself for commands, `settings` are the flags and
variables. `observe` turns `signals` into metrics, log lines and the event stream. `admin` is the private listener,
`operations` what operators ask and do, `cli` the commands.

Imports point one way (pyproject.toml, checked by tests/test_architecture.py):

    cli -> process -> daemon -> admin -> operations -> ingest | delivery -> routes | store | observe | http -> amocrm
        -> signals -> model, errors
"""

__version__ = "0.2.0"
