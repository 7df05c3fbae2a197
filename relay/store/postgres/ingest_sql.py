"""The statements of intake; `ingest_rows` has what they are given. None is over 4,096 characters: psycopg caches those.

`where (select it from fresh)` is asked once, whatever the number of rows, and so are the arrays of new seqs. Their rows
are in the order of the batch: a set of arrays is unnested in order, and its seqs rise with it.
"""

from relay.store.postgres.ordering import has_older

EQUAL = """
case when i.span is null then false else (
  select true from webhooks o
  where o.dated = any(array[i.dated, '']) and o.digest = i.digest and o.source = i.source
    and o.received_at + 0 between i.arrived - i.span and i.arrived + i.span and o.id <> i.id limit 1) is not null end
"""
"""SQL: whether an equal webhook is stored within the window of `i`. `dated` leads in the index; '': it is unparsed.

`+ 0`: by the index of `received_at` the planner would read all of the last three hours, once it has seen few rows.
"""

_IDENTITY = """
unnest(%(id)s::text[], %(source)s::text[], %(arrived)s::bigint[], %(digest)s::bytea[], %(dated)s::text[],
  %(span)s::bigint[]) with ordinality i (id, source, arrived, digest, dated, span, n)
"""

_NEW = f"""
(select true from {_IDENTITY}
 where (select true from webhooks o where o.id = i.id limit 1) is not null or {EQUAL} limit 1) is null
"""
_HOOKS = """
hooks as materialized (
  select * from json_to_recordset(%(hooks)s::json) h (webhook text, item int, channel text, key text, source text,
    received_at bigint, at bigint, arrived bigint, since bigint, until bigint, matched text))
"""  # JSON, for the length of the statement
_IN_TIME = """
(select true from hooks h
 where (select true from heal_events e where e.source = h.source and e.channel = h.channel and e.key = h.key
          and e.at between h.since and h.until and e.state = 'healed' limit 1) is not null limit 1) is null
"""
"""SQL: whether no hook tells of an event that was healed before it came, and of which no hook has come yet."""

_WEBHOOKS = """
w as (
  insert into webhooks (id, source, received_at, content_type, request_id, body, query, signature, unparsed, digest,
    dated, checksum, traceparent)
  select id, source, arrived, content_type, request_id, body, query, signature, unparsed, digest, dated, checksum,
    traceparent
  from unnest(%(id)s::text[], %(source)s::text[], %(arrived)s::bigint[], %(content_type)s::text[],
      %(request_id)s::text[], %(body)s::bytea[], %(query)s::text[], %(signature)s::text[], %(unparsed)s::text[],
      %(digest)s::bytea[], %(dated)s::text[], %(checksum)s::bytea[], %(traceparent)s::text[])
    as i (id, source, arrived, content_type, request_id, body, query, signature, unparsed, digest, dated, checksum,
      traceparent)
  where (select it from fresh)
  returning seq),
ws as materialized (select array_agg(seq order by seq) as seqs from w)
"""

_EVENTS = """
e as (
  insert into events (webhook, id, kind, entity, action, entity_id, pipeline_id, received_at, payload, checksum,
    unrouted)
  select (select seqs from ws)[webhook], id, kind, entity, action, entity_id, pipeline_id, received_at, payload,
    checksum, nullif(unrouted, 0)
  from unnest(%(e_webhook)s::bigint[], %(e_id)s::text[], %(e_kind)s::text[], %(e_entity)s::text[],
      %(e_action)s::text[], %(e_entity_id)s::text[], %(e_pipeline_id)s::text[], %(e_received_at)s::bigint[],
      %(e_payload)s::bytea[], %(e_checksum)s::bytea[], %(e_unrouted)s::bigint[])
    as i (webhook, id, kind, entity, action, entity_id, pipeline_id, received_at, payload, checksum, unrouted)
  where (select it from fresh)
  returning seq),
es as materialized (select array_agg(seq order by seq) as seqs from e)
"""

# claimed only while this incarnation lives: what a relay claims that was declared dead, nobody would give back
_DELIVERIES = """
d as (
  insert into deliveries (event, target, routes, state, claim, attempt, base, replays, pending_since, due_at, key,
    held)
  select event, target, routes, 'pending', claim, (claim is not null)::int, 0, 0, since,
    case when blocked then null when claim is null then coalesce(held, since) else until end, key, held
  from (
    select (select seqs from es)[i.event] as event, i.target, i.routes, i.since, i.until, i.key, i.blocked,
      case when i.token is null then i.until end as held,
      case when not i.blocked and (select true from relays
                                   where incarnation = %(incarnation)s and name = %(relay)s and gone_at is null)
           then i.token end as claim
    from ({deliveries}) i
  ) i
  returning event, claim)
"""

_GIVEN = """
unnest(%(d_event)s::bigint[], %(d_target)s::text[], %(d_routes)s::text[], %(d_since)s::bigint[], %(d_until)s::bigint[],
  %(d_token)s::bigint[], %(d_behind)s::bigint[], %(d_key)s::bytea[])
  as i (event, target, routes, since, until, token, behind, key)
"""
_UNORDERED = f"select i.*, false as blocked from {_GIVEN} where (select it from fresh)"
_OLDER = f"i.behind > 0 or {has_older('i')}"
_ORDERED = f"select i.*, {_OLDER} as blocked from {_GIVEN} where (select it from fresh) offset 0"  # asked once a row

_REPLY = "select null::bigint, null::bigint from fresh where it union all select claim, event from d where claim > 0"


_INDEX = """
insert into hook_index (webhook, item, channel, key, source, received_at, at, arrived, since, until, matched)
select h.* from hooks h where {which} on conflict do nothing
"""


def _keep(fresh: str, webhooks: str, given: str, *, hooked: bool = False) -> str:
    parts = [
        f"fresh as materialized (select {fresh} as it)",
        webhooks,
        _EVENTS,
        _DELIVERIES.replace("{deliveries}", given),
    ]
    if hooked:
        parts = [_HOOKS, *parts, f"i as ({_INDEX.format(which='(select it from fresh)')})"]
    return " ".join(f"with {', '.join(parts)} {_REPLY}".split())


_GIVENS = {False: _UNORDERED, True: _ORDERED}
KEEP = {ordered: _keep(_NEW, _WEBHOOKS, given) for ordered, given in _GIVENS.items()}
"""Keep all or nothing. A row of nulls if all was inserted, then token and event of what was claimed; else no row."""

KEEP_WITH_HOOKS = {
    ordered: _keep(f"{_NEW} and {_IN_TIME}", _WEBHOOKS, given, hooked=True) for ordered, given in _GIVENS.items()
}
"""As `KEEP`, and index their hooks; nothing either if one of these is late."""

INDEX_HOOKS = " ".join(f"with {_HOOKS} {_INDEX.format(which='true')}".split())

ADD_EVENTS = _keep("true", "ws as materialized (select array[%(webhook)s::bigint] as seqs)", _ORDERED)
"""Give a webhook that is stored its events; replies as `KEEP`."""

REPEATING = f"select i.n::int from {_IDENTITY} where {EQUAL}"
"""The positions, from 1, of those that repeat an equal webhook."""

KNOWN = "select id, seq, unparsed is not null from webhooks where id = any(%(id)s::text[])"

RAW_KEYS = """
select d.key from webhooks w join events e on e.webhook = w.seq join deliveries d on d.event = e.seq
where w.id = any(%(id)s::text[]) and w.unparsed is not null and e.kind = 'unparsed' and d.key is not null
"""
"""The keys of raw deliveries that are replaced if these webhooks get events. A key never changes."""

READ = "update webhooks set unparsed = null where id = %(id)s and unparsed is not null returning seq"
UNDISMISS = "delete from dismissed where webhook = %(webhook)s"
"""Mark a webhook as parsed; no row if it is parsed."""

REPLACE_DEAD = """
update deliveries set why = %(why)s
where state = 'dead' and event in (select seq from events where webhook = %(webhook)s and kind = 'unparsed')
"""
REPLACE_PENDING = """
update deliveries set state = 'dead', claim = null, due_at = null, settled_at = %(now)s, why = %(why)s
where state = 'pending' and event in (select seq from events where webhook = %(webhook)s and kind = 'unparsed')
returning event, target
"""

FORWARDED = "update relays set forwarded = forwarded + %(webhooks)s where name = %(name)s"
PROBE = "update relays set beat = beat where name = %(name)s"
