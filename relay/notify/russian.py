"""The texts of notifications in Russian."""

from relay.notify.facts import Topic
from relay.notify.words import Words


def _russian_form(n: int) -> int:
    """0 for 1, 21, …; 1 for 2 to 4, 22, …; 2 for the others (CLDR)."""
    if n % 10 == 1 and n % 100 != 11:
        return 0
    return 1 if n % 10 in (2, 3, 4) and n % 100 not in (12, 13, 14) else 2


RUSSIAN = Words(
    raised={
        Topic.TARGET: "{subject} не принимает с {since}{detail}. Доставки ждут",
        Topic.DISK: "диск хранилища: {detail}",
        Topic.SPOOL: "PostgreSQL недоступен с {since}: вебхуки сохраняются в спул",
        Topic.GUARD: "{subject}: вебхук в amoCRM не в порядке: {detail}",
        Topic.SILENCE: "{subject}: вебхуков нет с {since}, уже {lasted}",
        Topic.RELOAD: "{subject}: новая версия отклонена, действует прежняя: {detail}",
        Topic.ACCOUNT: "аккаунт {subject}: {detail}",
    },
    cleared={
        Topic.TARGET: "{subject} снова принимает, перерыв {lasted}",
        Topic.DISK: "диск хранилища: места снова достаточно, не хватало {lasted}",
        Topic.SPOOL: "PostgreSQL снова доступен, перерыв {lasted}{detail}",
        Topic.GUARD: "{subject}: вебхук в amoCRM снова в порядке{detail}",
        Topic.SILENCE: "{subject}: вебхуки снова приходят",
        Topic.RELOAD: "{subject}: новая версия принята",
        Topic.ACCOUNT: "аккаунт {subject}: API отвечает, токен в порядке",
    },
    passed={
        Topic.TARGET: "{subject} не принимал {lasted}{detail}, снова принимает",
        Topic.DISK: "диск хранилища: места не хватало {lasted}, снова достаточно",
        Topic.SPOOL: "PostgreSQL был недоступен {lasted}, снова доступен{detail}",
        Topic.GUARD: "{subject}: вебхук в amoCRM был не в порядке {lasted}, снова в порядке",
        Topic.SILENCE: "{subject}: вебхуков какое-то время не было, снова приходят",
        Topic.RELOAD: "{subject}: версия была отклонена {lasted}; действует новейшая",
        Topic.ACCOUNT: "аккаунт {subject}: токен или API были не в порядке, снова всё хорошо",
    },
    happened={
        Topic.DEAD: (
            "{subject}: прекращена {n} доставка{why}",
            "{subject}: прекращены {n} доставки{why}",
            "{subject}: прекращено {n} доставок{why}",
        ),
        Topic.UNPARSED: (
            "{subject}: {n} вебхук не удалось прочитать, он сохранён",
            "{subject}: {n} вебхука не удалось прочитать, они сохранены",
            "{subject}: {n} вебхуков не удалось прочитать, они сохранены",
        ),
        Topic.HEALED: (
            "{subject}: {n} вебхук потерялся, событие восстановлено",
            "{subject}: {n} вебхука потерялись, события восстановлены",
            "{subject}: {n} вебхуков потерялись, события восстановлены",
        ),
        Topic.HEAL_WAITS: (
            "{subject}: {n} потерянный вебхук ждёт одобрения",
            "{subject}: {n} потерянных вебхука ждут одобрения",
            "{subject}: {n} потерянных вебхуков ждут одобрения",
        ),
        Topic.HEAL_EXPIRED: (
            "{subject}: {n} потерянный вебхук не восстановлен: за семь дней никто не одобрил",
            "{subject}: {n} потерянных вебхука не восстановлены: за семь дней никто не одобрил",
            "{subject}: {n} потерянных вебхуков не восстановлены: за семь дней никто не одобрил",
        ),
        Topic.SPOOL_REFUSED: (
            "PostgreSQL не принимает {n} вебхук из спула: он отложен там",
            "PostgreSQL не принимает {n} вебхука из спула: они отложены там",
            "PostgreSQL не принимает {n} вебхуков из спула: они отложены там",
        ),
        Topic.SPOOL_LOST: (
            "спул не открылся {n} раз: отложен как {file}, начат новый",
            "спул не открылся {n} раза: последний отложен как {file}",
            "спул не открылся {n} раз: последний отложен как {file}",
        ),
    },
    commands={
        Topic.ACCOUNT: ". Подробнее: relay account check {subject}",
        Topic.DEAD: ". Выясните причину, затем: relay replay --target {subject}",
        Topic.UNPARSED: ": relay list --unparsed",
        Topic.HEAL_WAITS: ": relay heal approve {subject}",
        Topic.HEAL_EXPIRED: ": relay heal status",
    },
    form=_russian_form,
    units=("с", "мин", "ч", "дн."),
    reasons={
        "timeout": "нет ответа вовремя",
        "connect": "нет соединения",
        "tls": "ошибка TLS",
        "disconnected": "соединение закрыто",
        "protocol": "ответ не по HTTP",
        "proxy": "ошибка прокси",
        "denied": "частный адрес запрещён",
        "request": "запрос не составлен",
        "template": "ошибка шаблона",
        "corrupt": "повреждено в хранилище",
        "answer": "в ответе отказ",
        "oauth2": "нет токена OAuth2",
    },
    states={
        "disabled": "выключен",
        "missing": "его нет",
        "settings_differ": "не хватает событий, нужных маршрутам",
        "wrong_account": "токен другого аккаунта",
        "no_rights": "у токена нет прав (401 или 403)",
        "unpaid": "аккаунт не оплачен (402)",
    },
    levels={
        "scarce": "мало места",
        "low": "почти полон, доставленные вебхуки удаляются раньше срока",
        "full": "полон, вебхуки отклоняются, если не удалось освободить место",
    },
    accounts={
        "lost": "amoCRM больше не продлевает доступ, или он ещё не выдан",
        "ends_0": "срок токена истёк",
        "blocked": "amoCRM заблокировала API, снять блокировку может только её поддержка",
        "refused": "amoCRM не принимает токен (401)",
        "ends_1": "токен истекает в течение суток, {until}",
        "ends_7": "токен истекает в течение семи дней, {until}",
        "ends_30": "токен истекает в течение тридцати дней, {until}",
    },
    parts={"routes": "файл маршрутов", "certificate": "сертификат", "access": "файл доступа"},
    failures=(
        ": {n} ошибка подряд, последняя — {why}",
        ": {n} ошибки подряд, последняя — {why}",
        ": {n} ошибок подряд, последняя — {why}",
    ),
    because=": {why}",
    until="; последний токен действует до {until}",
    asked=": попросил паузу, {why}",
    free=", свободно {free} ГБ",
    problems=" (и ещё {n})",
    forwarded=": записано вебхуков из спула — {n}",
    never="{subject}: вебхуков ещё не было, уже {lasted}",
    reenabled=": relay включил его",
    changes=" (изменений: {n})",
    more="… и ещё {n}",
    test="проверка уведомлений relay",
)
