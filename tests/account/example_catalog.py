"""A small account whose names the tests of this room use."""

from datetime import UTC, datetime

from relay.model.names import Catalog, CustomField, Pipeline, Stage, User

AS_OF = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
SALES, SERVICE, ARCHIVE = 752662, 752663, 752664
OFFER, CONTRACT, DONE = 16203337, 16203338, 16203340


def closed(won: str = "Успешно реализовано", lost: str = "Закрыто и не реализовано") -> tuple[Stage, Stage]:
    return Stage(id=142, name=won), Stage(id=143, name=lost)


CATALOG = Catalog(
    host="example.amocrm.ru",
    as_of=AS_OF,
    pipelines=(
        Pipeline(
            id=SALES,
            name="Продажи",
            stages=(Stage(id=OFFER, name="Оффер"), Stage(id=CONTRACT, name="Договор"), *closed()),
        ),
        Pipeline(
            id=SERVICE,
            name="Сервис",
            stages=(Stage(id=DONE, name="Сделано/сдано"), Stage(id=16203341, name="Договор"), *closed("Готово")),
        ),
        Pipeline(id=ARCHIVE, name="Архив", archived=True, stages=(Stage(id=16203350, name="Оффер"), *closed())),
    ),
    users=(
        User(id=501, name="Ольга Петрова", email="olga@example.com"),
        User(id=502, name="Иван Иванов", email="ivan@example.com"),
        User(id=503, name="Иван Иванов", email="ivan.ivanov@example.com"),
    ),
    custom_fields=(
        CustomField(id=701, name="Телефон", code="PHONE", entity="contacts"),
        CustomField(id=702, name="Телефон", code="PHONE", entity="companies"),
        CustomField(id=703, name="Статус счёта", code="BILL_STATUS", entity="leads"),
        CustomField(id=704, name="Город", entity="leads"),
        CustomField(id=705, name="Город", entity="leads"),
    ),
)
