"""Values of the relay -> the words of a page: states, and how they look. Values in addresses stay as they are."""

from relay.admin.console.figures import age_word, number
from relay.admin.console.languages import gettext as _
from relay.admin.console.languages import pgettext
from relay.admin.console.sentences import said
from relay.model import Json


def type_word(type_: str) -> str:
    """`leads.status` -> `сделка: смена этапа`; what is not of amoCRM's vocabulary stays as it is."""
    entity, dot, action = type_.partition(".")
    if not dot:
        return type_
    return _("{entity}.{action}").format(entity=about_word(entity), action=action_word(action))


def action_word(action: str) -> str:
    """`status` in the language of the page."""
    return _HAPPENED.get(action, lambda: action)()


def act_word(command: str) -> str:
    """`pause`, as the audit has it, or an operation, in the language of the page."""
    return _DONE.get(command, lambda: command)()


def state_kind(state: str) -> str:
    """How a state looks: `ok`, `bad`, `wait`, or `idle` for whatever is none of them."""
    return next((kind for kind, states in _KINDS.items() if state in states), "idle")


def state_word(state: str) -> str:
    """`pending` in the language of the page."""
    return _WORDS.get(state, lambda: state)()


def filter_word(name: str, values: list[str]) -> str:
    """`state: dead` in the language of the page; what is no word of the relay stays as it is."""
    shown = map(_WORD_OF.get(name, str), values)
    return f"{filter_name(name)}: {', '.join(shown)}"


def filter_name(name: str) -> str:
    """`until` in the language of the page."""
    return _FILTERS.get(name, lambda: name)()


def detail_name(name: str) -> str:
    """What an act was given, as the audit calls it, in the language of the page."""
    return (_FILTERS | _DETAILS).get(name, lambda: name)()


def detail_word(name: str, value: Json) -> str:
    """`dead, delivered`, `2`, `leads.status: 3` in the language of the page."""
    match value:
        case list():
            return ", ".join(detail_word(name, each) for each in value)
        case dict():
            return ", ".join(f"{key}: {each}" for key, each in value.items())
        case bool():
            return _("yes") if value else _("no")
        case float():
            return number(value)
    return _WORD_OF.get(name, str)(str(value))


def who_word(who: str) -> str:
    """The name of whoever asked; a token that a variable gives has none."""
    shared = who in ("RELAY_ADMIN_TOKEN", "RELAY_VIEWER_TOKEN")
    return _("the token of {variable}").format(variable=who) if shared else who


def _reason_word(reason: str) -> str:
    """Why an attempt ended so, or why a request was refused."""
    return _REFUSED[reason]() if reason in _REFUSED else said(reason)


def about_word(entity: str) -> str:
    """`leads` -> `сделка`: what an event is about."""
    return _ABOUT.get(entity, lambda: entity)()


def entity_word(entity: str) -> str:
    """`leads` -> `Lead`, in the language of the page."""
    return _ENTITIES[entity]() if entity in _ENTITIES else about_word(entity).capitalize()


def only_word(only: str) -> str:
    """`incoming` in the language of the page."""
    return {"incoming": lambda: _("what comes in"), "attempts": lambda: _("attempts")}[only]()


_WORD_OF = {
    "action": action_word,
    "dismissed": lambda value: _("yes") if value == "true" else _("no"),
    "settled_since": age_word,
    "settled_until": age_word,
    "since": age_word,
    "slower": age_word,
    "until": age_word,
    "command": act_word,
    "entity": about_word,
    "failed": lambda value: _("yes") if value == "true" else _("no"),
    "reason": _reason_word,
    "state": state_word,
    "states": state_word,
}
"""Parameters, and details of acts, with a closed set of values."""

_ENTITIES = {
    "leads": lambda: _("Lead"),
    "contacts": lambda: _("Contact"),
    "companies": lambda: _("Company"),
    "customers": lambda: _("Customer"),
    "task": lambda: _("Task"),
    "talk": lambda: _("Talk"),
    "unsorted": lambda: _("Unsorted"),
    "message": lambda: _("Message"),
}

_FILTERS = {
    "command": lambda: _("Act"),
    "account": lambda: _("Account"),
    "action": lambda: _("Action"),
    "dismissed": lambda: _("Dismissed"),
    "entity": lambda: _("Entity"),
    "failed": lambda: _("Failed"),
    "id": lambda: _("Id"),
    "pipeline": lambda: _("Pipeline"),
    "reason": lambda: _("Last attempt"),
    "route": lambda: _("Route"),
    "settled_since": lambda: _("Delivered or dead since"),
    "settled_until": lambda: _("Delivered or dead before"),
    "since": lambda: _("Since"),
    "slower": lambda: _("Slower than"),
    "source": lambda: _("Source"),
    "state": lambda: _("State"),
    "target": lambda: _("Target"),
    "until": lambda: _("Until"),
    "who": lambda: _("Who"),
}

_DETAILS = {
    "corrupt": lambda: _("Corrupt rows"),
    "entity_id": lambda: _("Id"),
    "event_ids": lambda: _("Events"),
    "ids": lambda: _("Ids"),
    "method": lambda: _("Method"),
    "missing": lambda: _("Missing webhooks, at most"),
    "pipeline_id": lambda: _("Pipeline"),
    "rate": lambda: _("At most so many a second"),
    "reason": lambda: _("Reason"),
    "sound": lambda: _("The store is sound"),
    "states": lambda: _("State of the deliveries"),
    "structure": lambda: _("Faults of the file"),
}

_KINDS = {
    "ok": ("delivered", "done", "healed", "lives", "matched", "ok"),
    "bad": ("dead", "disabled", "failed", "gone", "interrupted", "missing", "no_rights", "open", "settings_differ",
            "unhealable", "unpaid", "wrong_account"),
    "wait": ("api_away", "pending", "probing", "queued", "retry", "running", "waiting", "would_heal"),
}  # fmt: skip

_REFUSED = {
    "unauthorized": lambda: _("wrong token"),
    "misaddressed": lambda: _("wrong address"),
    "stranger": lambda: _("not for us"),
    "refused_account": lambda: _("another account"),
    "too_large": lambda: _("too large"),
    "unavailable": lambda: _("could not be kept"),
    "incomplete": lambda: _("broke off"),
}
"""Why a request was refused."""

_WORDS = _REFUSED | {
    "pending": lambda: _("pending"),
    "delivered": lambda: _("delivered"),
    "dead": lambda: _("dead"),
    "retry": lambda: _("retry"),
    "ok": lambda: _("ok"),
    "open": lambda: _("circuit open"),
    "probing": lambda: _("half-open"),
    "viewer": lambda: _("viewer"),
    "operator": lambda: _("operator"),
    "paused": lambda: _("paused"),
    # what the live page shows
    "event": lambda: _("event"),
    "unparsed": lambda: _("unparsed"),
    "refused": lambda: _("refused"),
    "duplicate": lambda: _("duplicate"),
    "probe": lambda: _("probe"),
    "fault": lambda: _("fault"),
    # acts
    "running": lambda: _("under way"),
    "queued": lambda: _("queued"),
    "done": lambda: _("done"),
    "failed": lambda: _("failed"),
    "interrupted": lambda: _("interrupted"),
    "stopped": lambda: _("stopped"),
    # webhooks in amoCRM
    "api_away": lambda: _("amoCRM does not answer"),
    "disabled": lambda: _("switched off"),
    "disconnected": lambda: pgettext("webhook", "disconnected"),
    "missing": lambda: _("not there"),
    "no_rights": lambda: _("no rights"),
    "settings_differ": lambda: _("lacks events"),
    "unpaid": lambda: _("not paid for"),
    "unknown": lambda: _("not looked at yet"),
    "wrong_account": lambda: _("another account"),
    # healing
    "seen": lambda: _("seen"),
    "matched": lambda: _("a webhook came"),
    "would_heal": lambda: _("would be healed"),
    "waiting": lambda: _("waits"),
    "healed": lambda: _("healed"),
    "late_hook": lambda: _("a webhook came late"),
    "unhealable": lambda: _("cannot be healed"),
    "exact": lambda: _("exact"),
    "state": lambda: _("as it is now"),
    "approximate": lambda: _("approximate"),
    "report": lambda: _("only reports"),
    "on": lambda: _("on"),
    # relays, and who asks
    "lives": lambda: _("lives"),
    "gone": lambda: _("gone"),
}

_ABOUT = {
    "catalogs": lambda: pgettext("entity", "catalogs"),
    "chat_template_review": lambda: pgettext("entity", "chat_template_review"),
    "companies": lambda: pgettext("entity", "companies"),
    "contacts": lambda: pgettext("entity", "contacts"),
    "customers": lambda: pgettext("entity", "customers"),
    "leads": lambda: pgettext("entity", "leads"),
    "message": lambda: pgettext("entity", "message"),
    "outgoing_message": lambda: pgettext("entity", "outgoing_message"),
    "talk": lambda: pgettext("entity", "talk"),
    "task": lambda: pgettext("entity", "task"),
    "unknown": lambda: pgettext("entity", "unknown"),
    "unsorted": lambda: pgettext("entity", "unsorted"),
}

_HAPPENED = {
    "add": lambda: pgettext("action", "add"),
    "call_in": lambda: pgettext("action", "call_in"),
    "chat": lambda: pgettext("action", "chat"),
    "delete": lambda: pgettext("action", "delete"),
    "mail_in": lambda: pgettext("action", "mail_in"),
    "note": lambda: pgettext("action", "note"),
    "period": lambda: pgettext("action", "period"),
    "responsible": lambda: pgettext("action", "responsible"),
    "restore": lambda: pgettext("action", "restore"),
    "site_visit": lambda: pgettext("action", "site_visit"),
    "status": lambda: pgettext("action", "status"),
    "update": lambda: pgettext("action", "update"),
}

_DONE = {
    "account login": lambda: pgettext("act", "account login"),
    "access": lambda: pgettext("act", "access"),
    "access end-sessions": lambda: pgettext("act", "access end-sessions"),
    "backup": lambda: pgettext("act", "backup"),
    "connect": lambda: pgettext("act", "connect"),
    "disconnect": lambda: pgettext("act", "disconnect"),
    "dismiss": lambda: pgettext("act", "dismiss"),
    "dismiss --unparsed": lambda: pgettext("act", "dismiss --unparsed"),
    "drop": lambda: pgettext("act", "drop"),
    "forget": lambda: pgettext("act", "forget"),
    "guard resume": lambda: pgettext("act", "guard resume"),
    "heal approve": lambda: pgettext("act", "heal approve"),
    "heal run": lambda: pgettext("act", "heal run"),
    "notify test": lambda: pgettext("act", "notify test"),
    "pause": lambda: pgettext("act", "pause"),
    "probe": lambda: pgettext("act", "probe"),
    "purge": lambda: pgettext("act", "purge"),
    "reload": lambda: pgettext("act", "reload"),
    "reparse": lambda: pgettext("act", "reparse"),
    "replay": lambda: pgettext("act", "replay"),
    "replay --reroute": lambda: pgettext("act", "replay --reroute"),
    "replay --unrouted": lambda: pgettext("act", "replay --unrouted"),
    "resume": lambda: pgettext("act", "resume"),
    "routes resumed": lambda: pgettext("act", "routes resumed"),
    "sample": lambda: pgettext("act", "sample"),
    "spool drain": lambda: pgettext("act", "spool drain"),
    "spool forget": lambda: pgettext("act", "spool forget"),
    "stop": lambda: pgettext("act", "stop"),
    "verify": lambda: pgettext("act", "verify"),
    "verify --accept-loss": lambda: pgettext("act", "verify --accept-loss"),
}

COMMANDS = tuple(sorted(_DONE))
"""Acts, as the audit calls them."""
