"""The account itself: its name, pipelines, users and fields, as their endpoints give them."""

from dataclasses import dataclass, field

from tests.fakeamo.values import Fields, Json

WON, LOST = 142, 143
KINDS = ("leads", "contacts", "companies", "customers")


@dataclass(kw_only=True)
class Stage:
    id: int
    name: str
    sort: int
    type: int = 0  # 1: incoming leads
    is_editable: bool = True
    color: str = "#99ccff"


@dataclass(kw_only=True)
class Pipeline:
    id: int
    name: str
    sort: int
    is_main: bool = False
    is_archive: bool = False
    stages: list[Stage] = field(default_factory=list)

    @property
    def unsorted(self) -> Stage:
        """Where incoming leads lie."""
        return next(stage for stage in self.stages if stage.type == 1)


class Structure:
    """Two pipelines, three users (the first an administrator), a few fields; add what a test needs."""

    def __init__(self, created_at: int, *, kommo: bool) -> None:
        self.id = 5
        self.name = "Example"
        self.subdomain = "example"
        self.domain = "kommo.com" if kommo else "amocrm.ru"
        self.created_at = created_at
        self.kommo = kommo
        self.unpaid_since: float | None = None
        self.pipelines: list[Pipeline] = []
        self.users: list[Fields] = []
        self.fields: dict[str, list[Fields]] = {kind: [] for kind in KINDS}
        self.customer_statuses = [{"id": 901, "name": "Новый"}, {"id": 902, "name": "Постоянный"}]
        self._last_id = 10_000
        self.add_pipeline("Продажи", ["Первичный контакт", "Переговоры", "Оффер"])
        self.add_pipeline("Повторные", ["Новая", "Счёт"])
        self.add_user("Анна Смирнова", is_admin=True)
        self.add_user("Иван Петров")
        self.add_user("Мария Орлова")
        self.add_field("contacts", "Телефон", code="PHONE", of="multitext")
        self.add_field("contacts", "Email", code="EMAIL", of="multitext")
        self.add_field("leads", "Источник", code="UTM_SOURCE", of="tracking_data")
        self.add_field("leads", "Город")

    @property
    def host(self) -> str:
        return f"{self.subdomain}.{self.domain}"

    def account_block(self) -> Fields:
        """`account` of a webhook's body."""
        return {"subdomain": self.subdomain, "id": self.id, "_links": {"self": f"https://{self.host}"}}

    # ---- changes; they leave no event

    def add_pipeline(self, name: str, stages: list[str]) -> Pipeline:
        pipeline = Pipeline(id=self._new_id(), name=name, sort=len(self.pipelines) + 1, is_main=not self.pipelines)
        pipeline.stages.append(Stage(id=self._new_id(), name="Неразобранное", sort=10, type=1, is_editable=False))
        for each in stages:
            pipeline.stages.append(Stage(id=self._new_id(), name=each, sort=10 * len(pipeline.stages) + 10))
        pipeline.stages.append(Stage(id=WON, name="Успешно реализовано", sort=10_000, is_editable=False))
        pipeline.stages.append(Stage(id=LOST, name="Закрыто и не реализовано", sort=11_000, is_editable=False))
        self.pipelines.append(pipeline)
        return pipeline

    def add_stage(self, pipeline: Pipeline, name: str) -> Stage:
        stage = Stage(id=self._new_id(), name=name, sort=10 * len(pipeline.stages))
        pipeline.stages.insert(-2, stage)
        return stage

    def stage(self, name: str, pipeline: str = "Продажи") -> Stage:
        """A stage by its names."""
        found = next(each for each in self.pipelines if each.name == pipeline)
        return next(each for each in found.stages if each.name == name)

    def pipeline_of(self, status_id: int, default: int | None = None) -> Pipeline:
        """The pipeline of a stage; won and lost are in every one, and there `default` decides."""
        if status_id in (WON, LOST):
            return next(each for each in self.pipelines if default in (None, each.id))
        return next(each for each in self.pipelines if any(stage.id == status_id for stage in each.stages))

    def add_user(self, name: str, *, is_admin: bool = False, email: str = "") -> Fields:
        number = self._new_id()
        rights = {"is_admin": is_admin, "is_free": False, "is_active": True, "group_id": None, "role_id": None}
        user = {
            "id": number,
            "name": name,
            "email": email or f"user{number}@example.com",
            "lang": "ru",
            "rights": rights,
        }
        self.users.append(user)
        return user

    def add_field(self, kind: str, name: str, *, code: str | None = None, of: str = "text") -> Fields:
        added = {"id": self._new_id(), "name": name, "type": of, "account_id": self.id, "code": code}
        added |= {"sort": 500, "is_api_only": False, "enums": None, "group_id": None, "entity_type": kind}
        self.fields[kind].append(added)
        return added

    # ---- documents

    def pipeline_document(self, pipeline: Pipeline) -> Fields:
        statuses = [
            {
                "id": stage.id,
                "name": stage.name,
                "sort": stage.sort,
                "is_editable": stage.is_editable,
                "pipeline_id": pipeline.id,
                "color": stage.color,
                "type": stage.type,
                "account_id": self.id,
            }
            for stage in pipeline.stages
        ]
        return {
            "id": pipeline.id,
            "name": pipeline.name,
            "sort": pipeline.sort,
            "is_main": pipeline.is_main,
            "is_unsorted_on": True,
            "is_archive": pipeline.is_archive,
            "account_id": self.id,
            "_embedded": {"statuses": statuses},
        }

    def document(self, asked: frozenset[str], *, alpha: bool, user: int) -> Fields:
        """GET /account; what `with` asks for is there only then."""
        found: dict[str, Json] = {
            "id": self.id,
            "name": self.name,
            "subdomain": self.subdomain,
            "created_at": self.created_at,
            "created_by": 0,
            "updated_at": self.created_at,
            "updated_by": 0,
            "current_user_id": user,
            "country": "RU",
            "currency": "RUB",
            "customers_mode": "unavailable" if self.kommo else "segments",
            "is_unsorted_on": True,
            "mobile_feature_version": 0,
            "is_loss_reason_enabled": True,
            "is_helpbot_enabled": False,
            "contact_name_display_order": 1,
        }
        if "is_api_filter_enabled" in asked:
            found["is_api_filter_enabled"] = alpha
        if "version" in asked:
            found["version"] = 11
        zone = {"date_pattern": "d.m.Y H:i", "timezone": "Europe/Moscow", "timezone_offset": "+03:00"}
        embedded: Fields = {"datetime_settings": zone} if "datetime_settings" in asked else {}
        if "task_types" in asked:
            embedded["task_types"] = [{"id": 1, "name": "Связаться"}, {"id": 2, "name": "Встреча"}]
        return found | ({"_embedded": embedded} if embedded else {})

    def _new_id(self) -> int:
        self._last_id += 1
        return self._last_id
