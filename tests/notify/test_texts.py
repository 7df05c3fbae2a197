"""The texts of both languages say the same of everything there is, and their commands can be typed."""

import re
from string import Formatter

import pytest

from relay.model import Reason, Secret
from relay.model.notify import Language, Notify, Slack
from relay.model.subscription import SubscriptionState
from relay.notify.accounts import Trouble
from relay.notify.digest import Digest, Entry
from relay.notify.english import ENGLISH
from relay.notify.facts import Change, Fact, Topic, kind_of
from relay.notify.notification import notification
from relay.notify.russian import RUSSIAN
from relay.notify.texts import Speaker
from relay.notify.words import Words
from relay.signals import DiskSpace
from tests.docs.pages import assert_parses
from tests.notify.facts import NOON, seconds

BOTH = pytest.mark.parametrize("words", [ENGLISH, RUSSIAN], ids=["en", "ru"])
CONDITIONS = {Topic.TARGET, Topic.DISK, Topic.SPOOL, Topic.GUARD, Topic.SILENCE, Topic.RELOAD, Topic.ACCOUNT}
STATUSES = {Reason.OK, Reason.REDIRECT, Reason.CLIENT_ERROR, Reason.TOO_MANY, Reason.SERVER_ERROR, Reason.OTHER_STATUS}
"""Reasons of which a text has the status."""


@BOTH
def test_there_is_a_text_for_everything_that_may_be_said(words: Words) -> None:
    assert set(words.raised) == set(words.cleared) == set(words.passed) == CONDITIONS
    assert set(words.happened) == set(Topic) - CONDITIONS
    assert set(words.reasons) == {*Reason} - STATUSES
    assert set(words.states) == {*SubscriptionState} - {SubscriptionState.OK, SubscriptionState.API_AWAY}
    assert set(words.accounts) == {*Trouble}
    assert set(words.levels) == {each.name.lower() for each in DiskSpace} - {"ample"}


@BOTH
def test_each_plural_has_all_its_forms(words: Words) -> None:
    forms = {words.form(number) for number in range(1000)}
    assert forms == set(range(len(forms)))
    for texts in (*words.happened.values(), words.failures):
        assert len(texts) == len(forms)


@BOTH
def test_the_commands_are_some_that_there_are(words: Words) -> None:
    for text in words.commands.values():
        [command] = re.findall(r"relay .*", text.format(subject="bot"))
        assert_parses(command.split()[1:])


def test_both_languages_have_the_same_places() -> None:
    for name in ("raised", "cleared", "passed"):
        for topic, text in getattr(ENGLISH, name).items():
            assert _places(text) == _places(getattr(RUSSIAN, name)[topic]), (name, topic)


def _places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


VALUES = {
    "why": "timeout",
    "failures": "3",
    "free": "5",
    "level": "low",
    "problem": "a\nb",
    "state": "lost",
    "until": "2027-01-15T08:00:00Z",
    "file": "x",
}


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("links", [False, True])
@pytest.mark.parametrize("topic", Topic)
def test_everything_that_may_be_said_is_one_line(topic: Topic, links: bool, language: Language) -> None:
    values = VALUES | {"state": "lost" if topic is Topic.ACCOUNT else "missing"}
    changes = [Change.RAISED, Change.CLEARED] if topic in CONDITIONS else [Change.HAPPENED]
    digest = Digest(Notify(name="slack", to=Slack(url=Secret(""))))
    speaker = Speaker(language=language, name="acme", relay="relay-a", local=lambda at: at, links=links)
    for number, change in enumerate(changes, 1):
        fact = Fact(topic=topic, subject="crm", change=change, at=NOON, count=number, values=values)
        digest.add(fact)
        digest.add(fact)
        [entry] = digest.take(NOON + seconds(3600) * number, lambda at: at)
        digest.sent(NOON)
        assert kind_of(topic, change) in entry.kinds
        said = notification([entry], speaker, console="https://relay.example" if links else "", now=NOON)
        [line] = said.lines
        assert line.text.isprintable()
        assert "{" not in line.text
        advised = (not links or topic is Topic.ACCOUNT) and topic in ENGLISH.commands and change is not Change.CLEARED
        assert ("relay " in line.text) == advised
        assert line.link.startswith("https://relay.example/") == links


PLACES = {
    Topic.ACCOUNT: "heal",
    Topic.GUARD: "heal",
    Topic.HEALED: "heal",
    Topic.HEAL_WAITS: "heal",
    Topic.HEAL_EXPIRED: "heal",
    Topic.SILENCE: "sources",
    Topic.SPOOL: "relays",
    Topic.SPOOL_LOST: "relays",
    Topic.SPOOL_REFUSED: "relays",
    Topic.TARGET: "targets/crm",
    Topic.DEAD: "deliveries?state=dead&target=crm",
    Topic.UNPARSED: "unparsed",
    Topic.RELOAD: "routes",
    Topic.DISK: "",
}


@pytest.mark.parametrize("topic", Topic)
def test_a_line_links_to_the_page_where_it_is_seen(topic: Topic) -> None:
    change = Change.RAISED if topic in CONDITIONS else Change.HAPPENED
    values = VALUES | {"state": "lost" if topic is Topic.ACCOUNT else "missing"}
    times = {"first_at": NOON, "at": NOON, "since": NOON}
    entry = Entry(topic=topic, subject="crm", first=change, last=change, values=values, **times)
    speaker = Speaker(language=Language.EN, name="acme", relay="", local=lambda at: at, links=True)
    said = notification([entry], speaker, console="https://relay.example", now=NOON)
    assert said.link == f"https://relay.example/{PLACES[topic]}"


@pytest.mark.parametrize(("relay", "own"), [("", ""), ("acme", ""), ("relay-b", "relay-b: ")])
def test_a_message_begins_with_the_name_of_the_installation(relay: str, own: str) -> None:
    speaker = Speaker(language=Language.EN, name="acme", relay=relay, local=lambda at: at)
    digest = Digest(Notify(name="slack", to=Slack(url=Secret(""))))
    digest.add(Fact(topic=Topic.DISK, subject="", change=Change.RAISED, at=NOON, values={"level": "low"}))
    said = notification(digest.take(NOON + seconds(60), lambda at: at), speaker, console="", now=NOON)
    line = f"✗ {own}disk of the store: nearly full, delivered webhooks are deleted early"
    assert said.title == f"acme: {line}"
    assert said.text == f"acme\n{line}"
    assert said.document()["name"] == "acme"
