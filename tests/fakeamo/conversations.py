"""Notes, calls, letters, visits and messages."""

from collections.abc import Sequence
from uuid import UUID

from tests.fakeamo import forms
from tests.fakeamo.records import SINGULAR, Happened, Telling
from tests.fakeamo.tasks import TaskChanges
from tests.fakeamo.values import Card, Exactness, Fields, Json, Mutation

EVENT_OF_NOTE = {
    "common": "common_note_added",
    "attachment": "attachment_note_added",
    "service_message": "service_note_added",
    "geolocation": "geo_note_added",
    "call_in": "incoming_call",
    "call_out": "outgoing_call",
    "sms_in": "incoming_sms",
    "sms_out": "outgoing_sms",
    "site_visit": "site_visit_note_added",
    "amomail_message": "incoming_mail",
}
DIRECTIONS = {"incoming": "message", "outgoing": "outgoing_message"}


class Talk:
    """A chat with a contact, linked to a lead or to nothing."""

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.id: int = fields["talk_id"]
        self.messages = 0


class ConversationChanges(TaskChanges):
    talks: dict[int, Talk]

    def note(self, card: Card, text: str = "Заметка", *, of: str = "common", by: int = 0) -> Fields:
        """Add a note; the id in its event is the one in its webhook."""
        return self._note(card, of, {"text": text}, by)

    def delete_note(self, note: Fields, *, by: int = 0) -> Mutation:
        """The event remains, without a webhook."""
        del self.notes[note["id"]]
        card = self.card(note["entity_type"], note["entity_id"])
        gone = self.happened(card, "common_note_deleted", before=[{"note": {"id": note["id"]}}])
        return self.record("delete note", card.kind, card.id, [gone], by=by)

    def call(
        self,
        card: Card,
        *,
        incoming: bool = True,
        phone: str = "+70000000000",
        lead: Card | None = None,
        triggers: bool = True,
        by: int = 0,
    ) -> Fields:
        """Note a call; `lead`'s stage fires `call_in`, not if the client says triggers=False."""
        params = {"uniq": str(self.new_id()), "duration": 60, "source": "telephony", "phone": phone}
        fired = (lead or (card if card.kind == "leads" else None)) if incoming and triggers else None
        return self._note(card, "call_in" if incoming else "call_out", params, by, fired, "call_in")

    def visit(self, lead: Card) -> Fields:
        return self._note(lead, "site_visit", {"text": "https://example.com/"}, 0, lead, "site_visit")

    def mail(self, leads: Sequence[Card], *, subject: str = "Письмо", incoming: bool = True) -> list[Fields]:
        """One letter in several leads: an event and a note each, and no webhook of the account."""
        return [self._letter(lead, subject, incoming) for lead in leads]

    def message(
        self, contact: Card, text: str = "Здравствуйте", *, lead: Card | None = None, incoming: bool = True
    ) -> str:
        """A chat message, under the talk's lead in the feed; its uuid. The text is in no list."""
        talk = next((each for each in self.talks.values() if each.fields["contact_id"] == contact.id), None)
        talk = talk or self._new_talk(contact, lead)
        uuid = str(UUID(int=self.random.getrandbits(128), version=4))
        direction = "incoming" if incoming else "outgoing"
        lead = self.cards["leads"].get(talk.fields["entity_id"] or 0)
        entity = lead if lead and lead.state == "live" else contact
        value = {"message": {"id": uuid, "talk_id": talk.id, "origin": talk.fields["origin"]}}
        happened = Happened(
            type=f"{direction}_chat_message",
            entity_type=SINGULAR[entity.kind],
            entity_id=entity.id,
            after=[value],
            talk_contact=contact.id,
        )
        talk.messages += 1
        talk.fields |= {"updated_at": int(self.clock()), "is_read": not incoming}
        tellings = [self._of_message(uuid, talk, text, direction)]
        if entity is lead and incoming and (talk.messages == 1 or self.quirks.chat_trigger == "each"):
            tellings.append(self._fired(lead, "chat"))
        self.record("message", DIRECTIONS[direction], uuid, [happened], tellings)
        return uuid

    def close(self, talk: Talk, *, by: int = 0) -> Mutation:
        talk.fields |= {"is_in_work": False, "status": "closed", "updated_at": int(self.clock())}
        closed = Happened(type="talk_closed", entity_type="talk", entity_id=talk.id)
        return self.record("close", "talk", talk.id, [closed], [self._of_talk(talk, "update")], by=by)

    def answer_talk(self, talk: Talk, *, by: int = 0) -> Mutation:
        talk.fields |= {"is_read": True, "updated_at": int(self.clock())}
        answered = Happened(type="conversation_answered", entity_type="talk", entity_id=talk.id)
        return self.record("answer", "talk", talk.id, [answered], [self._of_talk(talk, "update")], by=by)

    # ----

    def _note(
        self, card: Card, of: str, params: Fields, by: int, fired: Card | None = None, trigger: str = ""
    ) -> Fields:
        note = self._new_note(card, of, params, by)
        happened = self.happened(card, EVENT_OF_NOTE[of], [{"note": {"id": note["id"]}}])
        telling = Telling(
            key=forms.FORM_KEYS[card.kind],
            entity=card.kind,
            action="note",
            fields=forms.note(card, note, self.structure.id),
            entity_id=card.id,
            exactness=Exactness.STATE,
            settings=frozenset({f"note_{SINGULAR[card.kind]}"}),
            new=(note["id"],),
        )
        tellings = [telling, *([self._fired(fired, trigger)] if fired else [])]
        self.record("note", card.kind, card.id, [happened], tellings, by=by)
        return note

    def _letter(self, lead: Card, subject: str, incoming: bool) -> Fields:
        params: Fields = {"thread_id": self.new_id(), "message_id": self.new_id(), "income": incoming}
        params |= {"from": {"email": "client@example.com", "name": "Клиент"}, "to": {"email": "crm@example.com"}}
        params |= {"subject": subject, "content_summary": "…", "attach_cnt": 0}
        note = self._new_note(lead, "amomail_message", params, 0)
        event = "incoming_mail" if incoming else "outgoing_mail"
        happened = self.happened(lead, event, [{"note": {"id": note["id"]}}])
        tellings = [self._fired(lead, "mail_in")] if incoming else []
        self.record("mail", lead.kind, lead.id, [happened], tellings)
        return note

    def _new_note(self, card: Card, of: str, params: Fields, by: int) -> Fields:
        now = int(self.clock())
        note = {"id": self.new_id(), "entity_id": card.id, "entity_type": card.kind, "created_by": by, "updated_by": by}
        note |= {"created_at": now, "updated_at": now, "group_id": 0, "note_type": of, "params": params}
        note |= {"responsible_user_id": self.structure.users[0]["id"], "account_id": self.structure.id}
        self.notes[note["id"]] = note
        return note

    def _fired(self, lead: Card, action: str) -> Telling:
        fields = {"id": lead.id, "status_id": lead.fields["status_id"], "pipeline_id": lead.fields["pipeline_id"]}
        return Telling(
            key="leads", action=action, fields=fields, entity_id=lead.id, exactness=Exactness.APPROXIMATE, lead=lead
        )

    def _new_talk(self, contact: Card, lead: Card | None) -> Talk:
        now = int(self.clock())
        talk: Fields = {
            "talk_id": self.new_id(),
            "created_at": now,
            "updated_at": now,
            "rate": 0,
            "contact_id": contact.id,
        }
        talk |= {"chat_id": str(UUID(int=self.random.getrandbits(128), version=4)), "entity_id": lead and lead.id}
        talk |= {"entity_type": lead and "lead", "is_in_work": True, "is_read": False, "origin": "telegram"}
        talk |= {"missed_at": None, "status": "in_work", "source_id": 1, "account_id": self.structure.id}
        found = self.talks[talk["talk_id"]] = Talk(talk)
        created = Happened(type="talk_created", entity_type="talk", entity_id=found.id)
        happened = [created] if self.quirks.talk_created else []
        self.record("talk", "talk", found.id, happened, [self._of_talk(found, "add")])
        return found

    def _of_talk(self, talk: Talk, action: str) -> Telling:
        names = ("talk_id", "created_at", "updated_at", "rate", "contact_id", "chat_id", "entity_id", "entity_type")
        return Telling(
            key="talk",
            action=action,
            fields={name: talk.fields[name] for name in (*names, "is_in_work", "is_read", "origin")},
            entity_id=talk.id,
            exactness=Exactness.APPROXIMATE,
            settings=frozenset({f"{action}_talk"}),
        )

    def _of_message(self, uuid: str, talk: Talk, text: str, direction: str) -> Telling:
        incoming = direction == "incoming"
        fields: dict[str, Json] = {"id": uuid, "chat_id": talk.fields["chat_id"], "talk_id": talk.id}
        fields |= {"contact_id": talk.fields["contact_id"], "text": text, "created_at": int(self.clock())}
        if talk.fields["entity_id"]:
            fields |= {"element_type": 2, "entity_type": "lead"}
            fields |= {"element_id": talk.fields["entity_id"], "entity_id": talk.fields["entity_id"]}
        fields |= {"type": direction, "author": {"id": talk.fields["chat_id"], "type": "external", "name": "Клиент"}}
        fields |= {"origin": talk.fields["origin"]}
        return Telling(
            key=DIRECTIONS[direction],
            action="add",
            fields=fields,
            entity_id=uuid,
            exactness=Exactness.APPROXIMATE,
            settings=frozenset({"add_message" if incoming else "add_outgoing_message"}),
        )
