"""Values of the relay -> the words of a page: names of states. Values in addresses stay as they are."""

from relay.admin.console.languages import gettext as _


def state_word(state: str) -> str:
    """`pending` in the language of the page."""
    return _WORDS.get(state, lambda: state)()


_WORDS = {
    "pending": lambda: _("pending"),
    "delivered": lambda: _("delivered"),
    "dead": lambda: _("dead"),
    "retry": lambda: _("retry"),
    "ok": lambda: _("ok"),
    "open": lambda: _("circuit open"),
    "probing": lambda: _("half-open"),
    "paused": lambda: _("paused"),
    "event": lambda: _("event"),
    "unparsed": lambda: _("unparsed"),
    "refused": lambda: _("refused"),
    "duplicate": lambda: _("duplicate"),
    "probe": lambda: _("probe"),
    "fault": lambda: _("fault"),
}
