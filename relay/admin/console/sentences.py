"""Sentences of the desk -> the same in the language of the page: `attempt 3 is due`, found by its pattern.

The desk speaks English, to commands and programs alike. What has no pattern here stays as it is.
"""

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from string import Formatter

from relay.admin.console.draft_sentences import DRAFT_SENTENCES
from relay.admin.console.figures import decimal
from relay.admin.console.file_sentences import FILE_SENTENCES
from relay.admin.console.languages import ENGLISH, gettext, language
from relay.admin.console.lint_sentences import LINT_SENTENCES
from relay.admin.console.refusal_sentences import REFUSAL_SENTENCES
from relay.admin.console.template_sentences import TEMPLATE_SENTENCES
from relay.operations.translatable import N_

LENGTHS = (N_("{n} ms"), N_("{n} s"), N_("{n} min"), N_("{n} h"), N_("{n} d"))
SENTENCES = (
    *REFUSAL_SENTENCES,
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
    # how a target fails
    N_("answers with errors ({n})"),
    N_("answers that it failed"),
    N_("does not answer ({sentence})"),
    N_("cannot be sent to ({sentence})"),
    N_("fails"),
    # how long
    N_("now"),
    *LENGTHS,
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
    N_("no events: expected entity[action][index], got keys: {detail}"),
    N_("no events: {detail}"),
    N_("not UTF-8: byte {n}; `relay reparse --charset` reads it in another charset"),
)

OF_FILES = (*LINT_SENTENCES, *FILE_SENTENCES, *TEMPLATE_SENTENCES)
"""What else is said of a routes file."""

MOST_JOINED = 10
"""Semicolons and colons between sentences of the desk; a text with more is a target's answer, and stays as it is."""
LONGEST = 2_000
"""Characters of a text: the sentences of a longer one are not looked for."""

_INNER = frozenset({"length", "sentence", "rest", "token", "token2", "word"})
"""Parts that are sentences or words themselves."""
_ANYTHING = r"(?:{stop}.)++"
_ANYTHING_BUT_SEMICOLONS = r"(?:{stop}(?!; ).)++"
_KINDS = {
    "n": r"(?:0x)?(?:{stop}[0-9a-f.])++",
    "m": r"(?:{stop}[0-9])++",
    "name": r"(?:{stop}\S)++",
    "quoted": r"'(?:(?!'{next}).)*+'|(?:{stop}\S)++",
    "word": r"(?:{stop}\w)++(?:{stop} (?:{stop}\w)++)?+",
    "token": r"`(?:(?!`{next}).)*+`|(?:{stop}[^`:])++",
    "token2": r"`(?:(?!`{next}).)*+`|(?:{stop}[^`:])++",
    "rest": r"(?:{stop}.)*+",
}
"""What a hole may hold: up to where the text goes on as after it, `next`. No repeat gives back what it took, for with
several holes the time would be a power of the text's length: strangers write some of these texts.
"""


def said(text: str) -> str:
    """The sentence, or sentences with semicolons between them, in the language of the page."""
    return text if language() == ENGLISH or len(text) > LONGEST else _said(text, language())


def said_of_file(text: str) -> str:
    """Messages about a routes file, each on a line of its own, maybe with its place, in the language of the page."""
    if language() == ENGLISH or len(text) > LONGEST:
        return text
    return "\n".join(_said_of_line(each, language()) for each in text.split("\n"))


def _said_of_line(line: str, spoken: str) -> str:
    """`routes.yaml:5:3  routes[0].to: is missing`."""
    placed = _PLACED.fullmatch(line)
    if placed is None:
        return _said(line, spoken, of_file=True)
    said = _said(placed[2], spoken, of_file=True)
    path, colon, rest = placed[2].partition(": ")
    if said == placed[2] and colon:  # a path with blanks in it
        said = f"{path}: {_said(rest, spoken, of_file=True)}"
    return placed[1] + said


@lru_cache(maxsize=4096)
def _said(text: str, spoken: str, *, of_file: bool = False) -> str:
    for pattern, sentence in _patterns(of_file=of_file):
        if found := pattern.fullmatch(text):
            inner = {name: part for name, part in found.groupdict().items() if name in _INNER}
            parts = found.groupdict() | {name: _said(part, spoken, of_file=of_file) for name, part in inner.items()}
            return gettext(sentence).format(**parts) if sentence not in LENGTHS else _length(sentence, parts["n"])
    if text.count("; ") + text.count(": ") > MOST_JOINED:
        return text
    first, semicolon, rest = text.partition("; ")
    if semicolon:
        return f"{_said(first, spoken, of_file=of_file)}; {_said(rest, spoken, of_file=of_file)}"
    parameter, colon, rest = text.partition(": ")
    return f"{parameter}: {_said(rest, spoken, of_file=of_file)}" if colon and " " not in parameter else text


def _length(sentence: str, number: str) -> str:
    return gettext(sentence).format(n=decimal(number))


@lru_cache(maxsize=2)
def _patterns(*, of_file: bool) -> list[tuple[re.Pattern[str], str]]:
    """Of a routes file the longest sentences first; those that begin with anything at all are looked at last.

    There a semicolon is between sentences, never in a hole of one.
    """
    of_files = sorted(OF_FILES if of_file else (), key=lambda each: -len(_HOLE.sub("", each)))
    first = [each for each in of_files if not _HOLE.match(each)]
    last = [each for each in of_files if _HOLE.match(each)]
    anything = _ANYTHING_BUT_SEMICOLONS if of_file else _ANYTHING
    return [(_compiled(each, anything), each) for each in (*first, *SENTENCES, *last)]


def compile_patterns() -> Iterator[None]:
    """Compile those of all sentences, one a step: together they take 0.2 s, of the event loop at the first page."""
    for sentences, anything in ((SENTENCES, _ANYTHING), ((*SENTENCES, *OF_FILES), _ANYTHING_BUT_SEMICOLONS)):
        for each in sentences:
            yield
            _compiled(each, anything)


@cache
def _compiled(sentence: str, anything: str) -> re.Pattern[str]:
    return re.compile(_pattern(sentence, anything), re.DOTALL)


_PLACED = re.compile(r"(\S+:[0-9]+:[0-9]+  (?:[^\s:]+: )?)(.*)")
_HOLE = re.compile(r"(?<!\{)\{\w+\}")


def _pattern(sentence: str, anything: str) -> str:
    """Each `{n}` becomes a group of that name, of what it may hold; a doubled brace is one."""
    texts, names = [""], list[str]()
    for text, name, _, _ in Formatter().parse(sentence):
        texts[-1] += re.escape(text)
        if name:
            texts.append("")
            names.append(name)
    texts[-1] += r"\Z"
    groups = [
        f"(?P={name})" if name in names[:nth] else f"(?P<{name}>{_held(name, after, anything)})"
        for nth, (name, after) in enumerate(zip(names, texts[1:], strict=True))
    ]
    return texts[0] + "".join(group + after for group, after in zip(groups, texts[1:], strict=True))


def _held(name: str, after: str, anything: str) -> str:
    """What a hole may hold, as a pattern, if `after` is the pattern of what follows."""
    stop = f"(?!{after})" if after else ""
    return _KINDS.get(name, anything).replace("{next}", after).replace("{stop}", stop)
