"""Targets, and the catalogs of the sources' accounts -> targets whose requests may have the names of ids in them."""

from collections.abc import Mapping
from dataclasses import replace

from relay.model import Format, Source, Target
from relay.model.event_names import EventNames
from relay.model.names import Catalog
from relay.routes.reader import Reader


def with_names(
    reader: Reader, targets: Mapping[str, Target], sources: Mapping[str, Source], catalogs: Mapping[str, Catalog]
) -> dict[str, Target]:
    """Give the names to the targets that ask for them, by `names: true` or in a template."""
    names = names_of_sources(sources, catalogs)
    for target in targets.values():
        if target.names and target.format is Format.FORM and not target.body:
            reader.wrong(
                ("targets", target.name, "names"), "cannot stand beside format: form, which is what amoCRM sent"
            )
    return {
        name: replace(target, event_names=names) if target.names or _asks(target) else target
        for name, target in targets.items()
    }


def names_of_sources(sources: Mapping[str, Source], catalogs: Mapping[str, Catalog]) -> EventNames:
    """The names in the events of these sources, of those whose account's names are known."""
    accounts = {name: catalogs.get(source.account or "") for name, source in sources.items()}
    return EventNames({name: catalog for name, catalog in accounts.items() if catalog})


def _asks(target: Target) -> bool:
    return any(path.removeprefix("events.").partition(".")[0] == "names" for path in target.template_fields)
