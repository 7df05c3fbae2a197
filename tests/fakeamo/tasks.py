"""What happens to tasks."""

from collections.abc import Sequence

from tests.fakeamo import forms
from tests.fakeamo.cards import CardChanges
from tests.fakeamo.records import Happened, Telling
from tests.fakeamo.values import Card, Exactness, Fields, Json, Mutation


class TaskChanges(CardChanges):
    def add_task(self, about: Card, text: str = "Позвонить", *, by: int = 0, due_in: int = 86_400) -> Card:
        now = int(self.clock())
        fields: Fields = {
            "id": self.new_id(),
            "created_by": by,
            "updated_by": by,
            "created_at": now,
            "updated_at": now,
            "responsible_user_id": self.structure.users[0]["id"],
            "group_id": 0,
            "entity_id": about.id,
            "entity_type": about.kind,
            "duration": 0,
            "is_completed": False,
            "task_type_id": 1,
            "text": text,
            "result": [],
            "complete_till": now + due_in,
            "account_id": self.structure.id,
        }
        task = Card(kind="tasks", id=fields["id"], fields=fields)
        self.cards["tasks"][task.id] = task
        telling = self._telling(task, "add", self.form(task), Exactness.STATE)
        self.record("add", "tasks", task.id, [self.happened(task, "task_added")], [telling], by=by)
        return task

    def complete(self, task: Card, *, result: str = "", by: int = 0) -> Mutation:
        task.fields["is_completed"] = True
        happened = [self.happened(task, "task_completed")]
        if result:
            task.fields["result"] = {"text": result}
            happened.append(self.happened(task, "task_result_added", [{"note": {"id": self.new_id()}}]))
        return self._updated("complete", task, happened, by, {"action_close": 1, "old_text": task.fields["text"]})

    def retext(self, task: Card, text: str, *, by: int = 0) -> Mutation:
        old, task.fields["text"] = task.fields["text"], text
        changed = self.happened(task, "task_text_changed", [{"task": {"text": text}}], [{"task": {"text": old}}])
        return self._updated("retext", task, [changed], by, {"action_close": 0, "old_text": old})

    def postpone(self, task: Card, until: int, *, by: int = 0) -> Mutation:
        old, task.fields["complete_till"] = task.fields["complete_till"], until
        after, before = ([{"task_deadline": {"timestamp": each}}] for each in (until, old))
        return self._updated("postpone", task, [self.happened(task, "task_deadline_changed", after, before)], by, {})

    def give_task(self, task: Card, user: int, *, by: int = 0) -> Mutation:
        """Change who is responsible: no event that is known."""
        old, task.fields["responsible_user_id"] = task.fields["responsible_user_id"], user
        more = {"main_user": user, "modified_by": by, "old_responsible_user_id": old}
        return self._updated("give", task, [], by, more, owners=((old,), (user,)))

    def delete_task(self, task: Card, *, by: int = 0) -> Mutation:
        self.touch(task, by)
        task.state = "purged"
        telling = self._telling(task, "delete", {"id": task.id}, Exactness.EXACT)
        return self.record("delete", "tasks", task.id, [self.happened(task, "task_deleted")], [telling], by=by)

    def _updated(
        self,
        kind: str,
        task: Card,
        happened: Sequence[Happened],
        by: int,
        more: Fields,
        owners: tuple[tuple[int, ...], tuple[int, ...]] = ((), ()),
    ) -> Mutation:
        self.touch(task, by)
        settings = {"update_task", *(["responsible_task"] if owners[0] else [])}
        telling = self._telling(
            task,
            "update",
            self.form(task) | more,
            Exactness.APPROXIMATE,
            settings=settings,
            old=owners[0],
            new=owners[1],
        )
        return self.record(kind, "tasks", task.id, happened, [telling], by=by)

    def _telling(
        self,
        task: Card,
        action: str,
        fields: Fields,
        exactness: Exactness,
        *,
        settings: set[str] | None = None,
        **more: Json,
    ) -> Telling:
        return Telling(
            key=forms.FORM_KEYS["tasks"],
            action=action,
            fields=fields,
            entity_id=task.id,
            exactness=exactness,
            settings=frozenset(settings or {f"{action}_task"}),
            **more,
        )
