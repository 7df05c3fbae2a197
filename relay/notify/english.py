"""The texts of notifications in English."""

from relay.notify.facts import Topic
from relay.notify.words import Words

ENGLISH = Words(
    raised={
        Topic.TARGET: "{subject}: circuit open since {since}{detail}. Its deliveries wait",
        Topic.DISK: "disk of the store: {detail}",
        Topic.SPOOL: "PostgreSQL away since {since}: webhooks are kept in the spool",
        Topic.GUARD: "{subject}: the webhook in amoCRM is not in order: {detail}",
        Topic.SILENCE: "{subject}: no webhook since {since}, for {lasted}",
        Topic.RELOAD: "{subject}: the newer version is refused, the old one stays in force: {detail}",
    },
    cleared={
        Topic.TARGET: "{subject}: back again after {lasted}",
        Topic.DISK: "disk of the store: enough room again, after {lasted}",
        Topic.SPOOL: "PostgreSQL back again after {lasted}{detail}",
        Topic.GUARD: "{subject}: the webhook in amoCRM is in order again{detail}",
        Topic.SILENCE: "{subject}: webhooks come again",
        Topic.RELOAD: "{subject}: the newer version is in force again",
    },
    passed={
        Topic.TARGET: "{subject}: circuit open for {lasted}{detail}, back again",
        Topic.DISK: "disk of the store: short of room for {lasted}, enough again",
        Topic.SPOOL: "PostgreSQL away for {lasted}, back again{detail}",
        Topic.GUARD: "{subject}: the webhook in amoCRM was not in order for {lasted}, and is again",
        Topic.SILENCE: "{subject}: no webhook for a while, they come again",
        Topic.RELOAD: "{subject}: a version was refused for {lasted}; the newest is in force",
    },
    happened={
        Topic.DEAD: (
            "{subject}: 1 delivery is dead{why}",
            "{subject}: {n} deliveries are dead{why}",
        ),
        Topic.UNPARSED: (
            "{subject}: 1 webhook was not readable, and is kept",
            "{subject}: {n} webhooks were not readable, and are kept",
        ),
        Topic.HEALED: (
            "{subject}: 1 webhook was lost, and its event is healed",
            "{subject}: {n} webhooks were lost, and their events are healed",
        ),
        Topic.HEAL_WAITS: (
            "{subject}: 1 lost webhook waits for approval",
            "{subject}: {n} lost webhooks wait for approval",
        ),
        Topic.HEAL_EXPIRED: (
            "{subject}: 1 lost webhook is not healed: nobody approved it within seven days",
            "{subject}: {n} lost webhooks are not healed: nobody approved them within seven days",
        ),
        Topic.SPOOL_REFUSED: (
            "PostgreSQL refuses 1 webhook of the spool: it is kept there, apart",
            "PostgreSQL refuses {n} webhooks of the spool: they are kept there, apart",
        ),
        Topic.SPOOL_LOST: (
            "the spool could not be opened: it is set aside as {file}, and a new one begun",
            "the spool could not be opened {n} times: the last one is set aside as {file}",
        ),
    },
    commands={
        Topic.DEAD: ". Look why, then: relay replay --target {subject}",
        Topic.UNPARSED: ": relay list --unparsed",
        Topic.HEAL_WAITS: ": relay heal approve {subject}",
        Topic.HEAL_EXPIRED: ": relay heal status",
    },
    form=lambda n: int(n != 1),
    units=("s", "min", "h", "d"),
    reasons={
        "timeout": "no answer in time",
        "connect": "no connection",
        "tls": "TLS failed",
        "disconnected": "connection closed",
        "protocol": "no HTTP",
        "proxy": "the proxy failed",
        "denied": "a private address",
        "request": "no valid request",
        "template": "the template failed",
        "corrupt": "corrupt in the store",
        "answer": "the answer says no",
        "oauth2": "no access token",
    },
    states={
        "disabled": "switched off",
        "missing": "not there",
        "settings_differ": "it lacks events that the routes need",
        "wrong_account": "the token is of another account",
        "no_rights": "the token has no rights (401 or 403)",
        "unpaid": "the account is not paid (402)",
    },
    levels={
        "scarce": "little room",
        "low": "nearly full, delivered webhooks are deleted early",
        "full": "full, webhooks are refused unless delivered ones make room",
    },
    parts={"routes": "routes file", "certificate": "certificate", "access": "access file"},
    failures=(": 1 failure, {why}", ": {n} failures in a row, the last one {why}"),
    because=": {why}",
    asked=": it asked for a pause, {why}",
    free=", {free} GB free",
    problems=" (and {n} more)",
    forwarded=": {n} webhooks of the spool were stored",
    never="{subject}: no webhook yet, for {lasted}",
    reenabled=": the relay has switched it on",
    changes=" ({n} changes)",
    more="… and {n} more",
    test="a test of the relay's notifications",
)
