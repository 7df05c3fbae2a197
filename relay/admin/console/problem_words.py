"""A problem -> its title and what to do, in the language of the page and in terms of its buttons.

What has no text for pages is said as the desk says it.
"""

from relay.admin.console import languages
from relay.admin.console.filters import whole
from relay.admin.console.languages import gettext
from relay.admin.console.sentences import said
from relay.operations.documents.overview import OverviewDocument, ProblemDocument
from relay.operations.problem_measures import measured
from relay.operations.problem_texts import TEXTS, Kind
from relay.operations.translatable import Plural


def problem_title(problem: ProblemDocument, seen: OverviewDocument) -> str:
    """`warehouse: circuit open for 14 min`."""
    subject = problem.target or problem.source
    if not (title := TEXTS[Kind(problem.kind)].title):
        return said(problem.text)
    measure = measured(problem.kind, subject, seen.status, seen.sources)
    text = languages.ngettext(*title, measure.count) if isinstance(title, Plural) else gettext(title)
    text = text.format(name=problem.route, count=measure.count, age=whole(measure.age))
    return f"{subject}: {text}" if subject else text


def problem_advice(problem: ProblemDocument) -> str:
    """What to do about it."""
    remedy = TEXTS[Kind(problem.kind)].remedy
    return gettext(remedy) if remedy else said(problem.advice)
