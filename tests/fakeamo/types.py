"""Types of events: key -> number and the entity that they are of; None: of several."""

from tests.fakeamo.values import Fields

_OF = {
    "lead": {"lead_added": 1, "lead_deleted": 7, "lead_restored": 10, "lead_status_changed": 14, "lead_linked": 80,
             "lead_unlinked": 84, "sale_field_changed": 69},
    "contact": {"contact_added": 2, "contact_deleted": 8, "contact_restored": 11, "contact_linked": 81,
                "contact_unlinked": 85},
    "company": {"company_added": 3, "company_deleted": 9, "company_restored": 12, "company_linked": 82,
                "company_unlinked": 86},
    "customer": {"customer_added": 20, "customer_deleted": 53, "customer_status_changed": 57, "customer_linked": 83,
                 "customer_unlinked": 87, "ltv_field_changed": 88, "transaction_added": 26,
                 "entity_segment_attached": 94, "entity_segment_detached": 95},
    "task": {"task_added": 49, "task_deleted": 51, "task_completed": 29, "task_type_changed": 76,
             "task_text_changed": 77, "task_deadline_changed": 78, "task_result_added": 33},
    "talk": {"talk_created": 119, "talk_closed": 120, "talk_missed_event": 122, "conversation_answered": 135},
    None: {"incoming_call": 17, "outgoing_call": 30, "incoming_mail": 16, "outgoing_mail": 152,
           "incoming_chat_message": 89, "outgoing_chat_message": 90, "entity_direct_message": 150,
           "incoming_sms": 41, "outgoing_sms": 42, "entity_tag_added": 63, "entity_tag_deleted": 64,
           "entity_linked": 72, "entity_unlinked": 73, "entity_merged": 92, "entity_responsible_changed": 25,
           "name_field_changed": 70, "custom_field_value_changed": 24, "common_note_added": 27,
           "common_note_deleted": 79, "attachment_note_added": 28, "geo_note_added": 38, "service_note_added": 39,
           "site_visit_note_added": 18, "message_to_cashier_note_added": 60, "targeting_in": 31, "targeting_out": 32,
           "robot_replied": 74, "intent_identified": 75, "nps_rate_added": 91, "link_followed": 59,
           "key_action_completed": 116},
}  # fmt: skip

NUMBERS = {key: number for types in _OF.values() for key, number in types.items()}
ENTITY_OF = {key: entity for entity, types in _OF.items() for key in types}
CHATS = frozenset({"incoming_chat_message", "outgoing_chat_message"})


def is_of_field(event: str) -> bool:
    return event.startswith("custom_field_") and event.removeprefix("custom_field_").split("_")[0].isdecimal()


def known(*, kommo: bool, fields: dict[str, list[Fields]], without: frozenset[str]) -> dict[str, int]:
    """What GET /events/types of this account lists."""
    found = {
        key: number
        for key, number in NUMBERS.items()
        if key not in without and not (kommo and ENTITY_OF[key] == "customer")
    }
    return found | {f"custom_field_{each['id']}_value_changed": 24 for kind in fields.values() for each in kind}
