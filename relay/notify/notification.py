"""Entries -> one notification: its lines, each with a link into the console. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from relay.model import Json
from relay.notify.digest import Entry, kinds_of, ordered
from relay.notify.facts import Topic
from relay.notify.texts import Speaker
from relay.rfc3339 import rfc3339

MOST_LINES = 20
TEST = "test"
"""The kind of a notification that nothing has caused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """`link`: where to look, empty without `--admin-url`."""

    text: str
    link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """What every receiver gets, each in its own form.

    `name`: of the installation. `relay`: the name of who sends it, if several share a store.
    """

    kinds: Sequence[str]
    lines: Sequence[Line]
    name: str
    relay: str
    at: datetime

    @property
    def title(self) -> str:
        """One line: the name, the first line, and how many more there are."""
        more = f" (+{len(self.lines) - 1})" if len(self.lines) > 1 else ""
        return f"{self.name}: {self.lines[0].text}{more}"

    @property
    def text(self) -> str:
        """The name, then every line, and below those that have one their link."""
        said = [f"{each.text}\n{each.link}" if each.link else each.text for each in self.lines]
        return "\n".join([self.name, *said])

    @property
    def link(self) -> str:
        """Of the first line."""
        return self.lines[0].link

    def document(self) -> dict[str, Json]:
        """What a webhook gets that has no body of its own, and what templates read."""
        return {
            "kinds": list(self.kinds),
            "title": self.title,
            "text": self.text,
            "lines": [{"text": each.text, "link": each.link} for each in self.lines],
            "link": self.link,
            "name": self.name,
            "relay": self.relay,
            "at": rfc3339(self.at),
        }


def notification(entries: Collection[Entry], speaker: Speaker, *, console: str, now: datetime) -> Notification:
    """Say what these entries say; `console`: its address, empty if there is none."""
    known = ordered(entries)
    lines = [Line(text=speaker.line(each, now), link=_link(console, each)) for each in known[:MOST_LINES]]
    if len(known) > MOST_LINES:
        lines.append(Line(text=speaker.more(len(known) - MOST_LINES), link=console and f"{console}/"))
    return _of(speaker, kinds_of(entries), lines, now)


def test_notification(speaker: Speaker, *, console: str, now: datetime) -> Notification:
    """One that shows that a receiver gets them."""
    line = Line(text=speaker.test(), link=console and f"{console}/")
    return _of(speaker, [TEST], [line], now)


def _of(speaker: Speaker, kinds: Sequence[str], lines: Sequence[Line], now: datetime) -> Notification:
    return Notification(kinds=kinds, lines=lines, name=speaker.name, relay=speaker.relay, at=now)


def _link(console: str, entry: Entry) -> str:
    if not console:
        return ""
    subject = quote(entry.subject, safe="")
    match entry.topic:
        case Topic.TARGET:
            return f"{console}/targets/{subject}"
        case Topic.DEAD:
            return f"{console}/deliveries?state=dead&target={subject}"
        case Topic.UNPARSED:
            return f"{console}/unparsed"
        case Topic.SILENCE:
            return f"{console}/sources"
        case Topic.SPOOL | Topic.SPOOL_REFUSED | Topic.SPOOL_LOST:
            return f"{console}/relays"
        case Topic.RELOAD:
            return f"{console}/routes"
        case Topic.ACCOUNT | Topic.GUARD | Topic.HEALED | Topic.HEAL_WAITS | Topic.HEAL_EXPIRED:
            return f"{console}/heal"
    return f"{console}/"
