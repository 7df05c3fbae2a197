"""Sentences of the desk -> the same in the language of the page: `attempt 3 is due`, found by its pattern.

The desk speaks English, to commands and programs alike. What has no pattern here stays as it is.
"""

import re
from functools import lru_cache

from relay.admin.console.draft_sentences import DRAFT_SENTENCES
from relay.admin.console.languages import ENGLISH, gettext, language
from relay.admin.console.lint_sentences import LINT_SENTENCES
from relay.operations.translatable import N_

SENTENCES = (
    # how an attempt ended
    N_("answered {n}"),
    N_("timeout"),
    N_("connect"),
    N_("tls"),
    N_("2xx"),
    N_("3xx"),
    N_("4xx"),
    N_("429"),
    N_("5xx"),
    N_("other"),
    N_("disconnected"),
    N_("protocol"),
    N_("proxy"),
    N_("denied"),
    N_("request"),
    N_("template"),
    N_("corrupt"),
    N_("answer"),
    N_("oauth2"),
    # how long
    N_("now"),
    N_("{n} ms"),
    N_("{n} s"),
    N_("{n} min"),
    N_("{n} h"),
    N_("{n} d"),
    N_("{length} ago"),
    # what happens to a delivery next, or why it is dead
    N_("{sentence}, dismissed"),
    N_("orphaned: no such target now"),
    N_("target paused"),
    N_("interrupted: retried at the next start"),
    N_("circuit open"),
    N_("attempt {n} in flight"),
    N_("queued behind {n} in flight"),
    N_("attempt {n} is next"),
    N_("attempt {n} is due"),
    N_("attempt {n} in {length}"),
    N_("an older one goes first"),
    N_("answered {status}, which is in dead_on"),
    N_("{n} attempts failed, the last one: {sentence}"),
    N_("older than max_age after {n} attempts, the last one: {sentence}"),
    N_("the request cannot be made: {detail}"),
    N_("not sent: {detail}"),
    N_("cannot be rendered, {detail}"),
    # what the guard saw
    N_("{name}: webhook in amoCRM disabled"),
    N_("{name}: webhook in amoCRM missing"),
    N_("{name}: webhook in amoCRM settings differ"),
    N_("{name}: webhook in amoCRM wrong account"),
    N_("{name}: webhook in amoCRM no rights"),
    N_("{name}: webhook in amoCRM unpaid"),
    *LINT_SENTENCES,
    *DRAFT_SENTENCES,
    # what cannot be done, or found
    N_("{name} is not paused: see relay status"),
    N_("(did you mean {other}?)"),
    N_("(known: {other})"),
    N_("no target {name} {sentence}"),
    N_("no source {name} {sentence}"),
    N_("no route {name} {sentence}"),
    N_("no entity {name} {sentence}"),
    N_("no action {name} {sentence}"),
    N_("no parameter {name} {sentence}"),
    N_("{name} is neither RFC 3339 nor an age"),
    N_("{name} is not a number"),
    N_("given twice"),
    N_("{name} is a viewer: this needs the role operator"),
    N_("{name} sees no field values: {sentence} needs them"),
    N_("the body of a webhook"),
    N_("a draft of the routes in force"),
    N_("to try other routes on stored events"),
    N_("{n} questions and acts are under way: ask again"),
    N_("{n} acts that take long are under way or wait: ask again"),
    N_("{n} dry runs are under way or wait: ask again"),
    N_("{n} tests of receivers are under way or wait: ask again"),
    N_("{n} are found now, and {m} were counted before: nothing was done, count again"),
    N_("there is no connection to PostgreSQL"),
    N_("no relay runs here that could load its files again"),
    N_("no relay runs here that could verify its store: relay verify does"),
    N_("another verify is under way: see the act {name}"),
    N_(
        "verifying was ended: the write-ahead log grew too long meanwhile, verify a backup instead, "
        "with relay backup and relay verify --store"
    ),
    N_("not from a page of another site"),
    N_("several webhooks have an id that starts with {name}: {other}"),
    N_("{n} events have an id that starts with {name}: {other}"),
    N_("no event has an id that starts with {name}: see {other}"),
    N_("no id in the store starts with {name}"),
    N_("no act has the id {name}: see the list of acts"),
    N_("{name} is not a cursor of this listing: copy it from the line below the table"),
    N_("{name} is not unparsed: see relay show"),
    N_("nothing is dead or unparsed under these ids: see relay show"),
    N_("the webhook of {name} was not switched off when it was last looked at: see relay status"),
    N_("{name} does not heal: write `heal: report` in its source"),
    N_("this Idempotency-Key was used for another act, {name}: take a new one"),
    N_("this act is done"),
    N_("this act is running at the relay {name}: stop it there, {detail}"),
    N_("no such source, or a wrong token"),
    # what healing waits for
    N_("a webhook in the account's list that comes to this source: relay connect {name}"),
    N_("heal: report in its source"),
    N_("a relay: none runs"),
    N_("the names of {name}: relay names {name}"),
    N_("the first webhook of this source: what was before cannot be told apart from what was lost"),
    N_("the API of {name}, or the relay's next round, one a minute: relay account check {name}"),
    # why a webhook is unparsed
    N_("empty body"),
    N_("no events: {detail}"),
    N_("not UTF-8: byte {n}; `relay reparse --charset` reads it in another charset"),
)

MOST_JOINED = 10
"""Semicolons and colons between sentences of the desk; a text with more is a target's answer, and stays as it is."""

_INNER = ("length", "sentence")
"""Parts that are sentences themselves."""


def said(text: str) -> str:
    """The sentence, or sentences with semicolons between them, in the language of the page."""
    return text if language() == ENGLISH else _said(text, language())


@lru_cache(maxsize=4096)
def _said(text: str, _language: str) -> str:
    for pattern, sentence in _patterns():
        if found := pattern.fullmatch(text):
            parts = {name: said(part) if name in _INNER else part for name, part in found.groupdict().items()}
            return gettext(sentence).format(**parts)
    if text.count("; ") + text.count(": ") > MOST_JOINED:
        return text
    first, semicolon, rest = text.partition("; ")
    if semicolon:
        return f"{said(first)}; {said(rest)}"
    parameter, colon, rest = text.partition(": ")
    return f"{parameter}: {said(rest)}" if colon and " " not in parameter else text


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    return [(re.compile(_pattern(each), re.DOTALL), each) for each in SENTENCES]


def _pattern(sentence: str) -> str:
    """Each `{n}` becomes a group of that name, of what it may hold."""
    kinds = {"n": r"(?:0x)?[0-9a-f.]+", "m": r"[0-9]+", "name": r"\S+"}
    seen = set[str]()

    def group(found: re.Match[str]) -> str:
        if (name := found[1]) in seen:
            return f"(?P={name})"
        seen.add(name)
        return f"(?P<{name}>{kinds.get(name, '.+')})"

    return re.sub(r"\\\{(\w+)\\\}", group, re.escape(sentence))
