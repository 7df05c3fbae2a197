"""What happens to leads alone: they come into a pipeline, and move."""

from tests.fakeamo.records import Happened, Records, Telling
from tests.fakeamo.structure import LOST, WON, Stage
from tests.fakeamo.values import Card, Exactness, Json, Mutation


class LeadChanges(Records):
    def add_lead(
        self,
        name: str = "Сделка",
        *,
        stage: Stage | int | None = None,
        price: int = 0,
        by: int = 0,
        created_at: int | None = None,
        contacts: list[int] | None = None,
    ) -> Card:
        """Create a lead; API clients may claim another `created_at`."""
        status = stage if isinstance(stage, int) else (stage or self.structure.stage("Первичный контакт")).id
        pipeline = self.structure.pipeline_of(status)
        lead = self.new_card("leads", name, by, created_at)
        lead.fields |= {"status_id": status, "pipeline_id": pipeline.id, "price": price}
        lead.fields |= {"loss_reason_id": None, "closed_at": None, "score": None, "labor_cost": None}
        lead.fields |= {"is_price_computed": False}
        lead.contacts += contacts or []
        for contact in lead.contacts:
            self.card("contacts", contact).leads.append(lead.id)
        self.tell_of_new_lead(lead, by)
        return lead

    def tell_of_new_lead(self, lead: Card, by: int) -> Mutation:
        added = Happened(
            type="lead_added", entity_type="lead", entity_id=lead.id, after=[{"note": {"id": self.new_id()}}]
        )
        new = (lead.fields["status_id"], lead.fields["pipeline_id"])
        short = {"id": lead.id, "status_id": new[0], "pipeline_id": new[1]}
        common = {"key": "leads", "action": "add", "entity_id": lead.id, "exactness": Exactness.STATE, "new": new}
        tellings = [
            Telling(fields=self.form(lead), settings=frozenset({"add_lead"}), **common),
            Telling(fields=short, lead=lead, **common),
        ]
        return self.record("add", "leads", lead.id, [added], tellings, by=by)

    def move(self, lead: Card | int, stage: Stage | int, *, pipeline: int | None = None, by: int = 0) -> Mutation:
        """Put a lead into a stage, of another pipeline too (`pipeline` for won and lost, else its own)."""
        lead = self.card("leads", lead) if isinstance(lead, int) else lead
        status = stage if isinstance(stage, int) else stage.id
        before = lead_status(lead)
        target = pipeline or self.structure.pipeline_of(status, lead.fields["pipeline_id"]).id
        closed = int(self.clock()) if status in (WON, LOST) else None
        lead.fields |= {"status_id": status, "pipeline_id": target, "closed_at": closed}
        self.touch(lead, by)
        moved = Happened(
            type="lead_status_changed",
            entity_type="lead",
            entity_id=lead.id,
            after=[{"lead_status": lead_status(lead)}],
            before=[{"lead_status": before}],
        )
        return self.record("move", "leads", lead.id, [moved], self._tellings_of_move(lead, before), by=by)

    def _tellings_of_move(self, lead: Card, before: dict[str, int]) -> list[Telling]:
        new = (lead.fields["status_id"], lead.fields["pipeline_id"])
        old = (before["id"],)
        full = self.form(lead, old_status_id=before["id"])
        short = {"id": lead.id, "status_id": new[0], "pipeline_id": new[1]}
        short |= {"old_status_id": before["id"], "old_pipeline_id": before["pipeline_id"]}
        common = {"key": "leads", "entity_id": lead.id, "new": new}
        exact, about = Exactness.EXACT, Exactness.APPROXIMATE
        return [
            Telling(
                action="status", fields=full, settings=frozenset({"status_lead"}), exactness=exact, old=old, **common
            ),
            Telling(action="update", fields=full, settings=frozenset({"update_lead"}), exactness=about, **common),
            Telling(
                action="status", fields=short, lead=lead, exactness=exact, old=(*old, before["pipeline_id"]), **common
            ),
        ]

    # ---- of all cards

    def new_card(self, kind: str, name: str, by: int, created_at: int | None = None) -> Card:
        """Store a card, and say nothing of it yet."""
        now = int(self.clock())
        fields: dict[str, Json] = {
            "id": self.new_id(),
            "name": name,
            "responsible_user_id": self.structure.users[0]["id"],
            "group_id": 0,
            "created_by": by,
            "updated_by": by,
            "created_at": now if created_at is None else created_at,
            "updated_at": now,
            "closest_task_at": None,
            "is_deleted": False,
            "custom_fields_values": None,
            "account_id": self.structure.id,
            "_embedded": {"tags": [], "companies": []},
        }
        card = Card(kind=kind, id=fields["id"], fields=fields)
        self.cards[kind][card.id] = card
        return card


def lead_status(lead: Card) -> dict[str, int]:
    return {"id": lead.fields["status_id"], "pipeline_id": lead.fields["pipeline_id"]}
