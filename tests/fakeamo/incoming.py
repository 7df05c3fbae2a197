"""Incoming leads (unsorted): they come, and are accepted, declined or linked. No event tells of them."""

from tests.fakeamo.conversations import ConversationChanges
from tests.fakeamo.records import Telling
from tests.fakeamo.structure import Stage
from tests.fakeamo.values import Card, Exactness, Fields, Mutation


class Incoming:
    """An incoming lead; `lead` lies in the pipeline's first stage until it is accepted."""

    def __init__(self, fields: Fields, lead: Card) -> None:
        self.fields = fields
        self.uid: str = fields["uid"]
        self.lead = lead


class IncomingChanges(ConversationChanges):
    incoming: dict[str, Incoming]

    def unsorted(self, name: str = "Заявка с сайта", *, category: str = "forms") -> Incoming:
        pipeline = self.structure.pipelines[0]
        lead = self.new_card("leads", name, 0)
        lead.fields |= {"status_id": pipeline.unsorted.id, "pipeline_id": pipeline.id, "price": 0, "closed_at": None}
        uid = f"{self.random.getrandbits(240):060x}"
        fields: Fields = {"uid": uid, "source_uid": "site", "source_name": "Сайт", "category": category}
        fields |= {"pipeline_id": pipeline.id, "created_at": int(self.clock()), "account_id": self.structure.id}
        fields["metadata"] = metadata(category, int(self.clock()))
        fields["_embedded"] = {"leads": [{"id": lead.id}], "contacts": [], "companies": []}
        found = self.incoming[uid] = Incoming(fields, lead)
        self.record("unsorted", "unsorted", uid, [], [self._of_incoming(found)])
        if self.quirks.lead_added_at == "arrival":
            self.tell_of_new_lead(lead, 0)
        return found

    def accept(self, item: Incoming, stage: Stage | None = None, *, by: int = 0) -> Mutation:
        """Take it out of the list, and its lead into a stage."""
        stage = stage or self.structure.stage("Первичный контакт")
        result = {"accept_result": {"leads": [item.lead.id]}}
        mutation = self._gone(item, "accept", result, by)
        if self.quirks.lead_added_at == "arrival":
            self.move(item.lead, stage, by=by)
        else:
            item.lead.fields["status_id"] = stage.id
            self.touch(item.lead, by)
            self.tell_of_new_lead(item.lead, by)
        return mutation

    def decline(self, item: Incoming, *, by: int = 0) -> Mutation:
        mutation = self._gone(item, "decline", {"decline_result": {"leads": [item.lead.id]}}, by)
        if self.quirks.lead_added_at == "arrival":
            self.delete(item.lead, by=by)
        else:
            item.lead.state = "purged"
        return mutation

    def link_incoming(self, item: Incoming, lead: Card, *, by: int = 0) -> Mutation:
        """Attach it to a lead that is there."""
        item.lead.state = "purged"
        return self._gone(item, "link", {"link_result": {"leads": [lead.id]}}, by)

    # ----

    def _gone(self, item: Incoming, action: str, result: Fields, by: int) -> Mutation:
        del self.incoming[item.uid]
        fields = {"action": action, "uid": item.uid, **result, "category": item.fields["category"]}
        fields |= {"created_at": item.fields["created_at"], "modified_user_id": by}
        telling = Telling(
            key="unsorted",
            action="delete",
            fields=fields,
            entity_id=item.uid,
            exactness=Exactness.APPROXIMATE,
            settings=frozenset({"delete_unsorted"}),
        )
        return self.record(action, "unsorted", item.uid, [], [telling], by=by)

    def _of_incoming(self, item: Incoming) -> Telling:
        fields = {"uid": item.uid, "category": item.fields["category"], "source_data": item.fields["metadata"]}
        fields |= {"data": {"leads": [{"name": item.lead.fields["name"]}]}, "pipeline_id": item.fields["pipeline_id"]}
        fields |= {"account_id": self.structure.id, "lead_id": item.lead.id, "created_at": item.fields["created_at"]}
        return Telling(
            key="unsorted",
            action="add",
            fields=fields,
            entity_id=item.uid,
            exactness=Exactness.STATE,
            settings=frozenset({"add_unsorted"}),
        )


def metadata(category: str, now: int) -> Fields:
    """What the list tells of an item, by category."""
    match category:
        case "mail":
            sender = {"email": "client@example.com", "name": "Клиент"}
            return {"from": sender, "received_at": now, "thread_id": 1, "subject": "Вопрос", "content_summary": "…"}
        case "sip":
            found = {"from": "+70000000000", "phone": "+70000000001", "called_at": now, "duration": 30, "link": ""}
            return found | {"service_code": "telephony", "is_call_event_needed": True, "uniq": str(now)}
        case "chats":
            found = {"from": "Клиент", "to": "bot", "received_at": now, "service": "telegram", "source_name": "bot"}
            return found | {"client": {"name": "Клиент", "avatar": ""}, "last_message_text": "Здравствуйте"}
    found = {"form_id": "1", "form_name": "Заявка", "form_page": "https://example.com/", "ip": "192.0.2.1"}
    return found | {"form_sent_at": now, "referer": "https://example.com/"}
