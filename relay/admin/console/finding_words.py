"""A finding -> its title and what to do, in the language of the page and in terms of its buttons.

What has no text for pages is said as the desk says it.
"""

from relay.admin.console import languages
from relay.admin.console.filters import whole
from relay.admin.console.languages import gettext
from relay.admin.console.sentences import said, said_of_file
from relay.operations.documents.overview import FindingDocument, OverviewDocument
from relay.operations.finding_measures import measured
from relay.operations.finding_texts import TEXTS, Kind
from relay.operations.translatable import Plural


def finding_title(finding: FindingDocument, seen: OverviewDocument) -> str:
    """`warehouse: circuit open for 14 min`."""
    subject = finding.target or finding.source
    if not (title := TEXTS[Kind(finding.kind)].title):
        return said(finding.text)
    measure = measured(finding.kind, subject, seen.status, seen.sources)
    text = languages.ngettext(*title, measure.count) if isinstance(title, Plural) else gettext(title)
    text = text.format(
        name=finding.route or measure.file, count=measure.count, age=whole(measure.age), why=said(measure.why)
    )
    return f"{subject}: {text}" if subject else text


def finding_advice(finding: FindingDocument, seen: OverviewDocument) -> str:
    """What to do about it."""
    if not (remedy := TEXTS[Kind(finding.kind)].remedy):
        return said(finding.advice)
    why = measured(finding.kind, finding.target or finding.source, seen.status, seen.sources).why
    return gettext(remedy).format(why=said_of_file(why))
