"""amocrm-relay: receive amoCRM's webhooks, commit them to disk, deliver their events at least once.

    POST /hooks/{source}/{token}
      │ http.acceptor       accepts; over the limit it evicts the connection that has gone longest without a 2xx
      │ http.small_posts    bytes -> a small POST that came whole, by aiohttp's parser; http.fast_protocol: the others
      │ ingest.endpoint     checks path, token and size, reserves memory in ingest.budget; ingest.body reads the others
      │ ingest.decode       decodes up to 32 bodies of one turn of the event loop together, a large one in a thread
      ▼
    amocrm.shapes           bytes -> [Event]         at once, if eight bodies with the same keys came before; else:
    amocrm.form             bytes -> tree            leads[add][0][id]=7 -> {"leads": {"add": {"0": {"id": "7"}}}}
    amocrm.events           tree  -> [Event]         one body, one or more events
      ▼
    routes.plan             Event -> deliveries      routes.match finds targets by the YAML that routes.config compiled
      ▼
    ingest.commit           has the store commit it, retries while the store is busy; after 1.5 s it is answered 503
      │ delivery.claim_at_insert   has new deliveries committed as claimed, where their lane has room
      ▼
    store.sqlite.writer     webhook, events and deliveries in one transaction; after the commit: lane and 200
      ▼
    delivery.dispatcher     new deliveries -> the lane of their target; the others once the store says they are due
    delivery.lane           takes, or claims what is due -> renders and sends: the target replies, or does not
      │ delivery.batching   gathers several for one request; delivery.template_renderer renders templates
      │ delivery.sender_chain  adds an access token (delivery.authorized), has an answer judged (delivery.answer_rules)
      ▼
    delivery.settlements    -> the store: delivered, pending until it is retried, or dead and kept

The 200 to amoCRM and the first request to a target both follow the commit; either may be written first.

Where relays share a store, `store.spool.intake` stands before it: it has webhooks committed to a file, the spool, while
that store is late or away, and `store.spool.forward` keeps them in it afterwards.

Beside the flow: `daemon.process` runs the relay until SIGTERM, and `daemon.wiring` connects the rooms; what else the
daemon does is listed in `daemon`. `observe` turns `signals` into metrics, log lines, the event stream and spans. The
private listener serves `admin`. Its `admin.api`, its pages in `admin.console` and the commands, `cli`, put each
question and act of an operator to `operations.desk`, which checks the role and masks what a viewer may not see.
Questions, and pages in the making, wait for commits (`store.give_way`).

If the routes file has accounts, `account.service` asks amoCRM's own API, on one relay of those that share a store: it
watches the webhooks there (`account.guard`), and creates the events that no webhook brought (`account.heal`).

If the routes file has `notify`, the daemon imports `notify`: it turns signals into messages to people, grouped and
in their language, and nothing waits for it.

Leaves that any room may import: `clock`, `rfc3339`, `printable`, `os_errors` and `private_addresses`. `tls` reads
certificates, `certificate_expiry` when one ends, and `file_versions` finds which files have changed.

Imports point one way (pyproject.toml, checked by tests/test_architecture.py):

    cli -> daemon -> admin -> operations -> notify -> ingest | delivery | account
        -> routes | store | observe | http -> amocrm -> signals -> model, errors
"""

__version__ = "0.2.0"
