"""A thousand leads -> a file of webhooks as amoCRM posts them, one a line; the same ones at every call.

One lead again and again hides what an index over entities costs, and what is remembered of a body. {id} in a name
is another number in each request, so that no body repeats another.
"""

from pathlib import Path
from random import Random
from urllib.parse import quote

from tests.bench.wrk import Content

LEADS = 1_000
PIPELINES = {5200 + number: [16000 + 100 * number + stage for stage in range(8)] for number in range(7)}
WORDS = ["Окна", "Двери", "Кухня", "Шкаф", "Ремонт", "Доставка", "Замер", "Договор", "Office", "Garden", "&", "№", "5"]
FIELDS = {701: "Адрес", 702: "Бюджет", 703: "Источник", 704: "Комментарий", 705: "UTM"}


def webhooks(folder: Path) -> Content:
    """What is posted, see post.lua."""
    chance = Random(19)
    path = folder / "leads.forms"
    path.write_text("".join(f"{_webhook(41_000 + number * 7, chance)}\n" for number in range(LEADS)))
    return Content(body=path, more={"WRK_LINES": "1"})


def _webhook(lead: int, chance: Random) -> str:
    """Most leads move, many are edited, some are new."""
    action = chance.choices(["status", "update", "add"], [6, 3, 1])[0]
    pipeline = chance.choice([*PIPELINES])
    status, before = chance.sample(PIPELINES[pipeline], 2)
    item: dict[str, object] = {"id": lead, "status_id": status, "pipeline_id": pipeline}
    if action == "status":
        item |= {"old_status_id": before, "old_pipeline_id": pipeline}
    else:
        item |= _edited(chance)
    pairs = [(f"leads[{action}][0]{key if key[0] == '[' else f'[{key}]'}", value) for key, value in item.items()]
    pairs += [("account[id]", 30550077), ("account[subdomain]", "northwind")]
    # {id} stays as it is: post.lua looks for it
    return "&".join(f"{quote(key, safe='')}={quote(str(value), safe='{}')}" for key, value in pairs)


def _edited(chance: Random) -> dict[str, object]:
    at = 1_764_000_000 + chance.randrange(10**6)
    item: dict[str, object] = {
        "name": f"{_words(chance)} {{id}}",
        "price": chance.randrange(10**6),
        "responsible_user_id": 2_000 + chance.randrange(40),
        "last_modified": at,
        "created_at": at - chance.randrange(10**7),
    }
    for position, field in enumerate(chance.sample([*FIELDS], chance.randrange(1, len(FIELDS) + 1))):
        item[f"[custom_fields][{position}][id]"] = field
        item[f"[custom_fields][{position}][name]"] = FIELDS[field]
        item[f"[custom_fields][{position}][values][0][value]"] = _words(chance)
    return item


def _words(chance: Random) -> str:
    return " ".join(chance.choices(WORDS, k=chance.randrange(1, 5)))
