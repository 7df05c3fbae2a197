"""What happens to leads, contacts, companies and customers alike."""

from collections.abc import Mapping, Sequence

from tests.fakeamo import forms
from tests.fakeamo.leads import LeadChanges
from tests.fakeamo.records import SINGULAR, Happened, Telling
from tests.fakeamo.values import Card, Exactness, Json, Mutation

RESTORED = ("leads", "contacts", "companies")


class CardChanges(LeadChanges):
    def add_contact(self, name: str = "Контакт", *, phone: str = "", by: int = 0) -> Card:
        return self._add("contacts", name, by, {"PHONE": phone} if phone else {})

    def add_company(self, name: str = "Компания", *, by: int = 0) -> Card:
        return self._add("companies", name, by, {})

    def add_customer(self, name: str = "Покупатель", *, by: int = 0) -> Card:
        if self.quirks.kommo:
            raise LookupError("Kommo has no customers")
        return self._add("customers", name, by, {})

    def move_customer(self, customer: Card, status: int, *, by: int = 0) -> Mutation:
        """Give a customer another status; only a webhook that a person set up brings `customers[status]`."""
        old, customer.fields["status_id"] = customer.fields["status_id"], status
        self.touch(customer, by)
        after, before = ([{"customer_status": {"id": each}}] for each in (status, old))
        full = self.form(customer)
        common = {"key": "customers", "entity_id": customer.id}
        exact = {"exactness": Exactness.EXACT, "old": (old,), "new": (status,)}
        tellings = [
            Telling(
                action="status",
                fields=full | {"old_status_id": old},
                settings=frozenset({"status_customer"}),
                **exact,
                **common,
            ),
            Telling(
                action="update",
                fields=full,
                settings=frozenset({"update_customer"}),
                exactness=Exactness.APPROXIMATE,
                **common,
            ),
        ]
        changed = self.happened(customer, "customer_status_changed", after, before)
        return self.record("status", "customers", customer.id, [changed], tellings, by=by)

    def update(
        self,
        card: Card,
        *,
        name: str | None = None,
        price: int | None = None,
        fields: Mapping[int, str] | None = None,
        tag: str | None = None,
        by: int = 0,
    ) -> Mutation:
        """Change several things by one request: as many events, and one webhook."""
        happened: list[Happened] = []
        if name is not None:
            happened.append(self._changed(card, "name_field_changed", "name_field_value", card.fields["name"], name))
            card.fields["name"] = name
        if price is not None:
            happened.append(self._sold(card, price))
        for field, text in (fields or {}).items():
            happened.append(self._filled(card, field, text))
        if tag is not None:
            card.fields["_embedded"]["tags"].append({"id": self.new_id(), "name": tag, "color": None})
            happened.append(self.happened(card, "entity_tag_added", [{"tag": {"name": tag}}]))
        return self.tell_of_update("update", card, happened, by)

    def tell_of_update(self, kind: str, card: Card, happened: Sequence[Happened], by: int) -> Mutation:
        self.touch(card, by)
        telling = Telling(
            key=forms.FORM_KEYS[card.kind],
            entity=card.kind,
            action="update",
            fields=self.form(card),
            entity_id=card.id,
            exactness=Exactness.APPROXIMATE,
            settings=frozenset({f"update_{SINGULAR[card.kind]}"}),
        )
        return self.record(kind, card.kind, card.id, happened, [telling], by=by)

    def give(self, card: Card, user: int, *, by: int = 0) -> Mutation:
        """Change who is responsible: of contacts and companies an `update` tells it."""
        old, singular = card.fields["responsible_user_id"], SINGULAR[card.kind]
        card.fields["responsible_user_id"] = user
        self.touch(card, by)
        given = self.happened(
            card,
            "entity_responsible_changed",
            [{"responsible_user": {"id": user}}],
            [{"responsible_user": {"id": old}}],
        )
        full = self.form(card)
        own_action = card.kind in ("leads", "customers")
        settings = {f"responsible_{singular}"} | (set() if own_action else {f"update_{singular}"})
        common = {"key": forms.FORM_KEYS[card.kind], "entity": card.kind, "entity_id": card.id}
        tellings = [
            Telling(
                action="responsible" if own_action else "update",
                fields=full | {"old_responsible_user_id": old},
                settings=frozenset(settings),
                exactness=Exactness.EXACT,
                old=(old,),
                new=(user,),
                **common,
            )
        ]
        if own_action:
            about = {"settings": frozenset({f"update_{singular}"}), "exactness": Exactness.APPROXIMATE}
            tellings.append(Telling(action="update", fields=full, **about, **common))
        return self.record("give", card.kind, card.id, [given], tellings, by=by)

    def delete(self, card: Card, *, by: int = 0) -> Mutation:
        """Put a card into the bin."""
        self.touch(card, by)
        card.state, card.fields["is_deleted"] = "bin", True
        telling = self._of_all("delete", card, forms.deletion(card), Exactness.EXACT)
        return self.record("delete", card.kind, card.id, [self._of_its_own(card, "deleted")], [telling], by=by)

    def restore(self, card: Card, *, by: int = 0) -> Mutation:
        if card.kind not in RESTORED or card.state != "bin":
            raise LookupError(f"cannot restore {card.kind} {card.id}")
        card.state, card.fields["is_deleted"] = "live", False
        self.touch(card, by)
        telling = self._of_all("restore", card, self.form(card), Exactness.STATE)
        return self.record("restore", card.kind, card.id, [self._of_its_own(card, "restored")], [telling], by=by)

    def purge(self, card: Card) -> None:
        """Empty it out of the bin: no event, and no endpoint shows it any more."""
        card.state = "purged"

    def link(self, lead: Card, contact: Card, *, by: int = 0) -> Mutation:
        lead.contacts.append(contact.id)
        contact.leads.append(lead.id)
        to_contact = [{"link": {"entity": {"type": "contact", "id": contact.id}}}]
        self.tell_of_update("link", lead, [self.happened(lead, "entity_linked", to_contact)], by)
        to_lead = [{"link": {"entity": {"type": "lead", "id": lead.id}}}]
        return self.tell_of_update("link", contact, [self.happened(contact, "entity_linked", to_lead)], by)

    def merge(self, kept: Card, lost: Card, *, by: int = 0) -> Mutation:
        """Merge one card into another."""
        lost.state, lost.fields["is_deleted"] = "purged", True
        merged = [self.happened(kept, "entity_merged")]
        if self.quirks.merge_updates:
            return self.tell_of_update("merge", kept, merged, by)
        self.touch(kept, by)
        return self.record("merge", kept.kind, kept.id, merged, by=by)

    # ---- of several files

    def happened(
        self, card: Card, event: str, after: Sequence[Json] = (), before: Sequence[Json] = (), **more: Json
    ) -> Happened:
        return Happened(
            type=event, entity_type=SINGULAR[card.kind], entity_id=card.id, after=after, before=before, **more
        )

    # ----

    def _add(self, kind: str, name: str, by: int, values: Mapping[str, str]) -> Card:
        card = self.new_card(kind, name, by)
        if kind == "customers":
            card.fields["status_id"] = self.structure.customer_statuses[0]["id"]
        if kind == "contacts":
            card.fields |= {"first_name": name, "last_name": ""}
        for field in self.structure.fields[kind]:
            if text := values.get(field["code"] or ""):
                put_value(card, field, text)
        note = [{"note": {"id": self.new_id()}}]
        added = self.happened(card, f"{SINGULAR[kind]}_added", note)
        telling = self._of_all("add", card, self.form(card), Exactness.STATE)
        self.record("add", kind, card.id, [added], [telling], by=by)
        return card

    def _of_all(self, action: str, card: Card, fields: dict[str, Json], exactness: Exactness) -> Telling:
        return Telling(
            key=forms.FORM_KEYS[card.kind],
            entity=card.kind,
            action=action,
            fields=fields,
            entity_id=card.id,
            exactness=exactness,
            settings=frozenset({f"{action}_{SINGULAR[card.kind]}"}),
        )

    def _of_its_own(self, card: Card, verb: str) -> Happened:
        return self.happened(card, f"{SINGULAR[card.kind]}_{verb}")

    def _changed(self, card: Card, event: str, key: str, old: Json, new: Json) -> Happened:
        return self.happened(card, event, [{key: {"name": new}}], [{key: {"name": old}}])

    def _sold(self, card: Card, price: int) -> Happened:
        old, card.fields["price"] = card.fields["price"], price
        after, before = (
            {"sale_field_value": {"sale": each, "sale_with_minor_units": float(each)}} for each in (price, old)
        )
        return self.happened(card, "sale_field_changed", [after], [before])

    def _filled(self, card: Card, field_id: int, text: str) -> Happened:
        field = next(each for each in self.structure.fields[card.kind] if each["id"] == field_id)
        old = put_value(card, field, text)
        after, before = ([] if each is None else [value_of(field, each)] for each in (text, old))
        return self.happened(card, f"custom_field_{field_id}_value_changed", after, before)


def put_value(card: Card, field: dict[str, Json], text: str) -> str | None:
    """Set a custom field; what it was."""
    kept = [each for each in card.fields["custom_fields_values"] or [] if each["field_id"] != field["id"]]
    old = next((each for each in card.fields["custom_fields_values"] or [] if each["field_id"] == field["id"]), None)
    value = {"field_id": field["id"], "field_name": field["name"], "field_code": field["code"]}
    value |= {"field_type": field["type"], "values": [{"value": text}]}
    card.fields["custom_fields_values"] = [*kept, value]
    return old["values"][0]["value"] if old else None


def value_of(field: dict[str, Json], text: str) -> dict[str, Json]:
    value = {"field_id": field["id"], "field_type": 1, "enum_id": None, "text": text, "is_masked": False}
    return {"custom_field_value": value}
