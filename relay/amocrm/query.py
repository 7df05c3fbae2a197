"""Query string of an address -> its values by name: try=1&tag=a&tag=b -> {"try": "1", "tag": ["a", "b"]}."""

from urllib.parse import parse_qsl

from relay.model import Json


def values(query: str) -> dict[str, Json]:
    """Text as UTF-8; what is not, and NUL, shows as U+FFFD. A name that comes again has a list."""
    found: dict[str, Json] = {}
    for name, value in parse_qsl(query.replace("%00", "%EF%BF%BD"), keep_blank_values=True) if query else ():
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found
