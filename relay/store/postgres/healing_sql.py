"""The statements of `healing`."""

from collections.abc import Collection

from relay.model.heal import HealState
from relay.store.heal_rows import HOOK, RECORD, REQUEST

RECORDS = f"select {RECORD} from heal_events where at >= %(since)s and source = %(source)s"
_OF_STATE = f"""
(select {RECORD} from heal_events where source = %(source)s and state = '{{state}}' and at >= %(since)s
 order by source, state, at)
"""


def of_states(states: Collection[HealState]) -> str:
    """Return the statement for records of these states: a range of one index for each.

    States are constants in it: the planner knows how rare each of them is, and not how rare one is that it is given.
    """
    each_of = " union all ".join(_OF_STATE.format(state=each.value) for each in sorted(states))
    return f"select * from ({each_of}) of_states"


HOOKS = f"select {HOOK} from hook_index where until >= %(since)s and since <= %(until)s and source = %(source)s"
OF_KEYS = (
    " and (channel, key) in (select wanted_channel, wanted_key"
    " from unnest(%(channels)s::text[], %(keys)s::text[]) wanted (wanted_channel, wanted_key))"
)
STORED = f"""
select {RECORD} from heal_events where source = %(source)s and (channel, event_id) in (
  select wanted_channel, wanted_id from unnest(%(channels)s::text[], %(ids)s::text[]) wanted (wanted_channel, wanted_id)
)
"""
CANDIDATES = f"""
select {HOOK} from hook_index where (webhook, item, channel, key) in (
  select w, i, c, k from unnest(%(webhooks)s::text[], %(items)s::bigint[], %(named_channels)s::text[],
    %(named_keys)s::text[]) named (w, i, c, k))
union
select {HOOK} from hook_index where source = %(source)s and matched is null and (channel, key) in (
  select c, k from unnest(%(channels)s::text[], %(keys)s::text[]) wanted (c, k))
  and since <= %(until)s and until >= %(since)s
"""
ADD_RECORDS = f"""
insert into heal_events ({RECORD})
select {RECORD} from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
  %s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::int[], %s::text[],
  %s::text[], %s::bool[]) given ({RECORD})
on conflict (source, channel, event_id) do update set type = excluded.type, action = excluded.action,
  entity = excluded.entity, entity_id = excluded.entity_id, key = excluded.key, at = excluded.at,
  found_at = excluded.found_at, state = excluded.state, before = excluded.before, after = excluded.after,
  webhook = excluded.webhook, item = excluded.item, reason = excluded.reason, exactness = excluded.exactness,
  approved = excluded.approved
"""
SPEND = """
update hook_index h set matched = spent.event_id
from unnest(%s::text[], %s::int[], %s::text[], %s::text[], %s::text[]) spent (webhook, item, channel, key, event_id)
where h.webhook = spent.webhook and h.item = spent.item and h.channel = spent.channel and h.key = spent.key
"""
KIND = "update webhooks set kind = %s where id = any(%s::text[])"
NEWER = """
select 1 from events e where left(e.entity_id, 64) = left(%(entity_id)s, 64) and e.entity_id = %(entity_id)s
  and e.entity = %(entity)s and e.received_at > %(at)s
  and (select w.kind from webhooks w where w.seq = e.webhook limit 1) <> %(kind)s limit 1
"""
MARKS = """
insert into heal_marks as m (source, lane, upto)
select %s, lane, upto from unnest(%s::text[], %s::bigint[]) given (lane, upto)
on conflict (source, lane) do update set upto = greatest(m.upto, excluded.upto)
"""
CHANNELS = """
with recursive found (channel) as (
  select min(channel) from hook_index where source = %(source)s
  union all select (select min(h.channel) from hook_index h where h.source = %(source)s and h.channel > found.channel)
  from found where found.channel is not null)
select channel from found where channel is not null order by channel
"""  # a seek for each, not a row for each hook
TOLD_BY = f"""
select {RECORD} from heal_events where source = %(source)s and channel = 'account'
  and key >= %(first)s and key < %(end)s order by key, at
"""
REQUEST_IDS = "select id, request_id from webhooks where id = any(%s::text[]) and request_id <> ''"
FIRST = "select received_at from hook_index where source = %s order by webhook limit 1"
APPROVE = """
update heal_events set approved = true where source = %s and state = 'waiting' and not approved returning 1
"""
ADD_REQUEST = f"""
insert into heal_requests ({REQUEST}) values (%s, %s, %s, %s, %s, %s) on conflict (id) do nothing returning id
"""
ANSWER = "update heal_requests set answer = %s where id = %s and answer is null"
BEAT = """
insert into run_marks as m (relay, began_at, ended_at) values (%s, %s, %s)
on conflict (relay, began_at) do update set ended_at = greatest(m.ended_at, excluded.ended_at)
"""
OLD_RECORDS = """
delete from heal_events where ctid = any(array(
  select ctid from heal_events where at < %(before)s
    and case when state = 'late_hook' then
      (select true from webhooks w where w.id = heal_events.webhook limit 1) is null else true end
  order by at limit %(most)s)) and at < %(before)s returning 1
"""  # with `exists` the planner may hash all webhooks
OLD_HOOKS = """
delete from hook_index where ctid = any(array(
  select ctid from hook_index where until < %(before)s order by until limit %(most)s)) and until < %(before)s
returning 1
"""
OLD_REQUESTS = "delete from heal_requests where asked_at < %(before)s returning 1"
OLD_RUNS = """
delete from run_marks where ended_at < %(before)s and ended_at < (select max(ended_at) from run_marks) returning 1
"""
PURGE = (OLD_RECORDS, OLD_HOOKS, OLD_REQUESTS, OLD_RUNS)
