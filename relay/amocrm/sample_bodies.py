"""Event type -> the body that amoCRM sends for it, as a tree: "leads.call_in" -> {"leads": {"call_in": …}, …}.

The names, ids and people are made up; the keys and their order are amoCRM's.
"""

from collections.abc import Mapping
from copy import deepcopy

from relay.amocrm.form import Tree, put_at

ACCOUNT_ID = "30110022"
SUBDOMAIN = "example"

_STAGE = {"id": "4831596", "status_id": "16203337", "pipeline_id": "752662"}
_LEAD = {
    "id": "4831596",
    "name": "Ремонт кухни",
    "status_id": "16203337",
    "price": "185000",
    "responsible_user_id": "2004001",
    "last_modified": "1764000600",
    "modified_user_id": "2004001",
    "created_user_id": "2004001",
    "date_create": "1764000000",
    "pipeline_id": "752662",
    "tags": {"0": {"id": "77101", "name": "с сайта"}},
    "account_id": ACCOUNT_ID,
    "custom_fields": {"0": {"id": "610001", "name": "Адрес", "values": {"0": {"value": "ул. Садовая, 7"}}}},
    "created_at": "1764000000",
    "updated_at": "1764000600",
}
_CONTACT = {
    "id": "9120034",
    "name": "Анна Пример",
    "responsible_user_id": "2004001",
    "date_create": "1764000000",
    "last_modified": "1764000000",
    "created_user_id": "2004001",
    "modified_user_id": "2004001",
    "account_id": ACCOUNT_ID,
    "custom_fields": {
        "0": {
            "id": "610010",
            "name": "Телефон",
            "values": {"0": {"value": "+7 (000) 000-00-01", "enum": "880001"}},
            "code": "PHONE",
        }
    },
    "linked_leads_id": {"4831596": {"ID": "4831596"}},
    "created_at": "1764000000",
    "updated_at": "1764000000",
    "type": "contact",
}
_COMPANY = {
    "id": "9120035",
    "name": "ООО «Пример»",
    "responsible_user_id": "2004001",
    "date_create": "1764000000",
    "last_modified": "1764000000",
    "created_user_id": "2004001",
    "modified_user_id": "2004001",
    "account_id": ACCOUNT_ID,
    "created_at": "1764000000",
    "updated_at": "1764000000",
    "type": "company",
}
_TASK = {
    "id": "330045",
    "element_id": "4831596",
    "element_type": "2",
    "task_type": "1",
    "date_create": "2025-11-24 19:00:00",
    "text": "Перезвонить",
    "status": "0",
    "account_id": ACCOUNT_ID,
    "created_user_id": "2004001",
    "last_modified": "2025-11-24 19:00:00",
    "responsible_user_id": "2004001",
    "complete_till": "2025-11-25 19:00:00",
    "created_at": "1764000000",
    "updated_at": "1764000000",
    "complete_before": "1764086400",
}
_NOTE = {
    "note": {
        "text": "Просит смету до пятницы",
        "attachement": "",
        "date_create": "2025-11-24 19:00:00",
        "note_type": "4",
        "element_type": "2",
        "element_id": "4831596",
        "account_id": ACCOUNT_ID,
        "metadata": '{"event_source":{"id":2004001,"author_name":"Пётр Пример","type":1}}',
        "created_by": "2004001",
        "modified_by": "2004001",
        "main_user_id": "2004001",
        "id": "5500071",
        "created_at": "1764000000",
        "updated_at": "1764000000",
    }
}
_MESSAGE = {
    "id": "00000000-0000-4000-8000-000000000001",
    "chat_id": "00000000-0000-4000-8000-000000000002",
    "talk_id": "301",
    "contact_id": "9120034",
    "text": "Здравствуйте! Сколько стоит 1 м²?",
    "created_at": "1764000000",
    "element_type": "2",
    "entity_type": "lead",
    "element_id": "4831596",
    "entity_id": "4831596",
    "type": "incoming",
    "author": {"id": "00000000-0000-4000-8000-000000000003", "type": "external", "name": "Анна Пример"},
    "origin": "telegram",
}
_TALK = {
    "talk_id": "301",
    "created_at": "1764000000",
    "updated_at": "1764000000",
    "rate": "0",
    "contact_id": "9120034",
    "chat_id": "00000000-0000-4000-8000-000000000002",
    "entity_id": "4831596",
    "entity_type": "lead",
    "is_in_work": "1",
    "is_read": "0",
    "origin": "telegram",
}
_UNSORTED = {
    "uid": "0f00000000000000000000000000000000000000000000000000000000a1",
    "category": "forms",
    "source_data": {
        "form_id": "1200",
        "form_type": "1",
        "from": "Заявка с формы «Замер»",
        "form_name": "Замер",
        "origin": {"ip": "192.0.2.7", "datetime": "1764000000", "referer": "https://shop.example/"},
        "data": {"name_1": {"type": "text", "id": "name_1", "element_type": "1", "name": "Имя", "value": "Анна"}},
        "date": "1764000000",
    },
    "date_create": "1764000000",
    "data": {"leads": {"0": {"name": "Замер", "pipeline_id": "752662", "date_create": "1764000000"}}},
    "pipeline_id": "752662",
    "account_id": ACCOUNT_ID,
    "source_id": "410",
    "lead_id": "4831596",
    "created_at": "1764000000",
}

_PIPELINE: Mapping[str, Tree] = {
    "leads.status": {**_STAGE, "old_status_id": "16203334", "old_pipeline_id": "752662"},
    "leads.call_in": _STAGE,
    "leads.mail_in": _STAGE,
    "leads.chat": _STAGE,
    "leads.site_visit": _STAGE,
    "leads.add": _STAGE,
    "customers.period": {"id": "660012", "old_period_id": "5001", "period_id": "5002"},
}
_ACCOUNT_LEVEL: Mapping[str, Tree] = {
    "leads.update": _LEAD,
    "leads.note": _NOTE,
    "contacts.add": _CONTACT,
    "companies.add": _COMPANY,
    "task.add": _TASK,
    "message.add": _MESSAGE,
    "talk.add": _TALK,
    "unsorted.add": _UNSORTED,
}

TYPES = (*_PIPELINE, *_ACCOUNT_LEVEL)
"""Event types with a sample body: those of a digital pipeline first, then those of account-level webhooks."""


def body(
    event_type: str,
    *,
    fields: Mapping[str, str] | None = None,
    account_id: str = ACCOUNT_ID,
    subdomain: str = SUBDOMAIN,
) -> Tree:
    """The body of one of TYPES, for `form.encode`; `fields` sets texts by dotted path: {"author.name": "Ann"}.

    KeyError for any other type.
    """
    entity, action = event_type.split(".")
    item = deepcopy(_PIPELINE.get(event_type) or _ACCOUNT_LEVEL[event_type])
    for path, text in (fields or {}).items():
        put_at(item, path.split("."), text)
    items = {"contacts" if entity == "companies" else entity: {action: {"0": item}}}
    if event_type in _PIPELINE:
        return {**items, "account": {"id": account_id, "subdomain": subdomain}}
    links = {"self": f"https://{subdomain}.amocrm.ru"}
    return {"account": {"subdomain": subdomain, "id": account_id, "_links": links}, **items}
