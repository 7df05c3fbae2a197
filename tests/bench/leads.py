"""A thousand leads -> a file of webhooks as amoCRM posts them, one a line; the same ones at every call.

One lead again and again hides what an index over entities costs, and what is remembered of a body. post.lua fills in
{id} in a name, another number in each request, so that no body repeats another, and {now}, the Unix time. amoCRM posts
within seconds of a change, so a lead was modified, and if it is new created, at that time. With times of other days
each webhook would change another page of the index that finds repeated bodies, which no real one does.
"""

from pathlib import Path
from random import Random
from time import time
from urllib.parse import quote

from tests.bench.wrk import Content

LEADS = 1_000
NOW = "{now}"
SOME_DAY = 1_764_000_000
"""A Unix time that has passed: leads that are updated were created before it."""
PIPELINES = {5200 + number: [16000 + 100 * number + stage for stage in range(8)] for number in range(7)}
WORDS = ["Окна", "Двери", "Кухня", "Шкаф", "Ремонт", "Доставка", "Замер", "Договор", "Office", "Garden", "&", "№", "5"]
FIELDS = {701: "Адрес", 702: "Бюджет", 703: "Источник", 704: "Комментарий", 705: "UTM"}


def webhooks(folder: Path) -> Content:
    """What is posted, see post.lua."""
    chance = Random(19)
    path = folder / "leads.forms"
    path.write_text("".join(f"{_webhook(41_000 + number * 7, chance)}\n" for number in range(LEADS)))
    return Content(body=path, more={"WRK_LINES": "1"})


def posted(folder: Path) -> list[bytes]:
    """The bodies, filled in as post.lua does."""
    lines = webhooks(folder).body.read_bytes().splitlines()
    now = b"%d" % time()
    return [line.replace(b"{now}", now).replace(b"{id}", b"%d" % number) for number, line in enumerate(lines, 10**8)]


def _webhook(lead: int, chance: Random) -> str:
    """Most leads move, many are edited, some are new."""
    action = chance.choices(["status", "update", "add"], [6, 3, 1])[0]
    pipeline = chance.choice([*PIPELINES])
    status, before = chance.sample(PIPELINES[pipeline], 2)
    item: dict[str, object] = {"id": lead, "status_id": status, "pipeline_id": pipeline}
    if action == "status":
        item |= {"old_status_id": before, "old_pipeline_id": pipeline}
    else:
        item |= _edited(chance, created=NOW if action == "add" else f"{SOME_DAY - chance.randrange(10**7)}")
    pairs = [(f"leads[{action}][0]{key if key[0] == '[' else f'[{key}]'}", value) for key, value in item.items()]
    pairs += [("account[id]", 30550077), ("account[subdomain]", "northwind")]
    # {id} and {now} stay as they are: post.lua looks for them
    return "&".join(f"{quote(key, safe='')}={quote(str(value), safe='{}')}" for key, value in pairs)


def _edited(chance: Random, *, created: str) -> dict[str, object]:
    item: dict[str, object] = {
        "name": f"{_words(chance)} {{id}}",
        "price": chance.randrange(10**6),
        "responsible_user_id": 2_000 + chance.randrange(40),
        "last_modified": NOW,
        "created_at": created,
    }
    for position, field in enumerate(chance.sample([*FIELDS], chance.randrange(1, len(FIELDS) + 1))):
        item[f"[custom_fields][{position}][id]"] = field
        item[f"[custom_fields][{position}][name]"] = FIELDS[field]
        item[f"[custom_fields][{position}][values][0][value]"] = _words(chance)
    return item


def _words(chance: Random) -> str:
    return " ".join(chance.choices(WORDS, k=chance.randrange(1, 5)))
