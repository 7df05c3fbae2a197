"""amocrm-relay: takes amoCRM's webhooks, keeps them, and delivers them until they have arrived.

    POST /hooks/{source}/{token}
      │ http.acceptor       who may come in; the oldest that is idle makes room
      │ ingest.endpoint     knows the source, reads the body if ingest.budget has room for it
      │ ingest.decode       has all that came in one turn of the loop understood together
      ▼
    amocrm.form             bytes -> tree            leads[add][0][id]=7 -> {"leads": {"add": {"0": {"id": "7"}}}}
    amocrm.events           tree  -> [Event]         one body, one or more events
      ▼
    routes.match            Event -> targets         by the YAML file that routes.config compiled
      ▼
    ingest.commit           tries until it is on disk; 503 after 1.5 s, and tries on
      ▼
    store                   webhook + events + deliveries, one commit, then 200
      ▼
    delivery.dispatcher     a lane per target: claim -> render -> send -> retry? -> settle
      ▼
    the target              has it (2xx), or will be asked again, or the delivery is dead and kept

Beside the line: `daemon` wires it, `reloader` holds the routes in use and swaps them when a file of `watched` changes,
`acts` logs what operators do beside it, `reports` has `relay status` know what it loaded, `readiness` says whether a
webhook could be kept now, `clock` notices that the machine's was set, `observe` turns `signals` into metrics, log
lines and what `relay tail` follows, `admin` serves them, `cli` is the operator's hand.
"""

__version__ = "0.2.0"
