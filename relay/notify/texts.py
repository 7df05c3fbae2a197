"""Entries -> lines for people, in English or Russian. Pure.

A line says what, since when, why, and what to do; ✗ begins what holds or was lost, ✓ what is well again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from relay.model.notify import Language
from relay.notify.digest import Entry
from relay.notify.english import ENGLISH
from relay.notify.facts import OWN, Change, Topic
from relay.notify.russian import RUSSIAN
from relay.notify.words import Words
from relay.printable import printable

BAD, GOOD = "✗", "✓"
_GIBIBYTE = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """Who says it. `name`: of the installation. `relay`: this relay's, if several share the store.

    `local`: an instant in the zone of the relay.
    `links`: each line has one into the console, which makes a command to type superfluous.
    """

    language: Language
    name: str
    relay: str
    local: Callable[[datetime], datetime]
    links: bool = False

    def line(self, entry: Entry, now: datetime) -> str:
        """What an entry says."""
        words = _WORDS[self.language]
        values = {name: printable(value) for name, value in entry.values.items()}
        said = _said(words, self, entry, values, now)
        advised = not self.links or entry.topic is Topic.ACCOUNT  # no page can mend that
        if advised and entry.last is not Change.CLEARED:
            said += words.commands.get(entry.topic, "").format(subject=entry.subject)
        who = self._who if entry.topic in OWN else ""
        good = entry.last is Change.CLEARED or entry.topic is Topic.HEALED
        return f"{GOOD if good else BAD} {who}{said}"

    def more(self, number: int) -> str:
        """What stands for lines that are left out."""
        return _WORDS[self.language].more.format(n=number)

    def test(self) -> str:
        """The line of a test."""
        return f"{GOOD} {self._who}{_WORDS[self.language].test}"

    @property
    def _who(self) -> str:
        return f"{self.relay}: " if self.relay not in ("", self.name) else ""


def _said(words: Words, speaker: Speaker, entry: Entry, values: Mapping[str, str], now: datetime) -> str:
    if entry.last is Change.HAPPENED:
        form = words.happened[entry.topic][words.form(entry.count)]
        return form.format(subject=entry.subject, n=entry.count, why=_why(words, values), **_only(values, "file"))
    lasted = _length(words, (entry.at if entry.last is Change.CLEARED else now) - entry.since)
    named = {
        "subject": words.parts.get(entry.subject, entry.subject),
        "since": _clock(speaker.local(entry.since), speaker.local(now)),
        "lasted": lasted,
        "detail": _detail(words, entry, values, until=_until(speaker, values, now)),
    }
    texts = words.passed if entry.passed else words.cleared if entry.last is Change.CLEARED else words.raised
    if "never" in values:
        texts = {Topic.SILENCE: words.never}
    often = entry.changes - (2 if entry.passed else 1)
    return texts[entry.topic].format(**named) + (words.changes.format(n=entry.changes) if often > 0 else "")


def _until(speaker: Speaker, values: Mapping[str, str], now: datetime) -> str:
    return (
        _clock(speaker.local(datetime.fromisoformat(values["until"])), speaker.local(now)) if "until" in values else ""
    )


def _detail(words: Words, entry: Entry, values: Mapping[str, str], *, until: str) -> str:
    """What follows the text of a condition: its reason."""
    match entry.topic:
        case Topic.TARGET:
            return _why(words, values, failures=True)
        case Topic.DISK:
            free = words.free.format(free=f"{int(values['free']) / _GIBIBYTE:.1f}") if "free" in values else ""
            return words.levels.get(values.get("level", ""), "") + free
        case Topic.GUARD if "reenabled" in values and entry.last is Change.CLEARED:
            return words.reenabled
        case Topic.GUARD:
            return words.states.get(values.get("state", ""), "")
        case Topic.ACCOUNT:
            said = words.accounts.get(values.get("state", ""), "").format(until=until)
            return said + (words.until.format(until=until) if until and values["state"] == "lost" else "")
        case Topic.RELOAD:
            return values.get("problem", "") + (words.problems.format(n=values["more"]) if "more" in values else "")
        case Topic.SPOOL if values.get("forwarded", "0") != "0":
            return words.forwarded.format(n=values["forwarded"])
    return ""


def _why(words: Words, values: Mapping[str, str], *, failures: bool = False) -> str:
    reason = values.get("why", "")
    if not reason:
        return ""
    said = words.reasons.get(reason, reason)
    if "asked" in values:
        return words.asked.format(why=said)
    if failures and "failures" in values:
        number = int(values["failures"])
        return words.failures[words.form(number)].format(n=number, why=said)
    return words.because.format(why=said)


def _only(values: Mapping[str, str], *names: str) -> Mapping[str, str]:
    return {name: values.get(name, "") for name in names}


def _length(words: Words, span: timedelta) -> str:
    seconds = max(0, int(span.total_seconds()))
    sizes = (1, 60, 3_600, 86_400)
    limits = (60, 3_600, 172_800)
    place = sum(seconds >= limit for limit in limits)
    return f"{seconds // sizes[place]} {words.units[place]}"


def _clock(at: datetime, now: datetime) -> str:
    """`14:05`; with the date if that is another day."""
    return f"{at:%H:%M}" if at.date() == now.date() else f"{at:%d.%m. %H:%M}"


_WORDS: Mapping[Language, Words] = {Language.EN: ENGLISH, Language.RU: RUSSIAN}
