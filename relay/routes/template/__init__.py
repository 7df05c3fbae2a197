"""Templates of the routes file: a text or a tree, and the names it may use -> what renders it for an event.

    source       a text with its secrets -> what Jinja2 parses: no secret is ever parsed
    language     that -> Jinja2's nodes; the sandbox
    translate    the nodes that are allowed -> nodes that use our operators; line and column of all others
    filters      what stands after `|`; operators, escapes, values: what a compiled template calls
    compile      -> TextTemplate, BodyTemplate, Expression

Jinja2 takes 30 ms and 6 MB to import, so only a file that has templates has it imported.
"""

from relay.model import Json
from relay.model.templates import BodyTemplate, Expression, TextTemplate
from relay.routes.template.escapes import Place
from relay.routes.template.names import ANSWER_NAMES, BATCH_NAMES, EVENT_NAMES, NOTIFICATION_NAMES
from relay.routes.template.source import Refusal, Source, TemplateRefused, has_template, shown

__all__ = [
    "ANSWER_NAMES",
    "BATCH_NAMES",
    "EVENT_NAMES",
    "NOTIFICATION_NAMES",
    "Place",
    "Refusal",
    "Source",
    "TemplateRefused",
    "compile_expression",
    "compile_text",
    "compile_tree",
    "compile_url",
    "has_template",
    "shown",
]


def compile_text(source: Source, names: frozenset[str], place: Place = Place.TEXT) -> TextTemplate:
    """Compile a text; what its `{{ … }}` give is escaped for its place. TemplateRefused says all that is wrong."""
    from relay.routes.template import compile as compiler

    return compiler.compile_text(source, names, place)


def compile_url(source: Source, names: frozenset[str]) -> TextTemplate:
    """Compile a URL whose scheme, host and port no event can change."""
    from relay.routes.template import compile as compiler

    return compiler.compile_url(source, names)


def compile_tree(tree: Json, names: frozenset[str]) -> BodyTemplate:
    """Compile a mapping or a list into JSON, or a text into text. A tree holds sources, numbers, booleans and nulls."""
    from relay.routes.template import compile as compiler

    return compiler.compile_tree(tree, names)


def compile_expression(source: Source, names: frozenset[str]) -> Expression:
    """Compile a text that is one `{{ … }}`."""
    from relay.routes.template import compile as compiler

    return compiler.compile_expression(source, names)
