"""Document -> what a target asks to have fetched beside its events."""

from relay.model import Format
from relay.model.enrich import Enrich, Part
from relay.routes.diagnostics import Where
from relay.routes.reader import Reader


def read_enrich(reader: Reader, where: Where, format_: Format) -> Enrich | None:
    """The `enrich` of the target at `where`, if it has one; `format_` is the target's."""
    here = (*where, "enrich")
    if not reader.document.has(here):
        return None
    if format_ is Format.FORM and reader.sound(here):
        reader.wrong(here, "cannot stand beside format: form, which is what amoCRM sent")
    if isinstance(reader.document.at(here), dict):
        parts = {name: reader.each((*here, name), str) for name in reader.keys(here)}
        return Enrich({Part(name): fields for name, fields in parts.items() if name in [*Part]})
    return Enrich(dict.fromkeys(reader.each(here, Part), ()))
