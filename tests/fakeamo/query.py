"""Query strings as amoCRM reads them: filter[type][]=a, filter[type][0]=a and filter[type]=a,b are the same list."""

import re
from collections import defaultdict
from collections.abc import Sequence
from urllib.parse import parse_qsl, urlsplit


class Query:
    def __init__(self, path_with_query: str) -> None:
        parts = urlsplit(path_with_query)
        self.path = parts.path
        self.pairs = parse_qsl(parts.query, keep_blank_values=True)
        self._lists: defaultdict[str, list[str]] = defaultdict(list)
        self._texts: dict[str, str] = {}
        for name, text in self.pairs:
            self._texts[name] = text
            self._lists[re.sub(r"\[\d*\]$", "", name)].append(text)

    def one(self, name: str) -> str | None:
        return self._texts.get(name)

    def number(self, name: str, default: int) -> int:
        found = self.one(name)
        return int(found) if found is not None and found.lstrip("-").isdecimal() else default

    def many(self, name: str) -> Sequence[str]:
        """The values of a list, of a comma list, or of one."""
        return [part for text in self._lists.get(name, ()) for part in text.split(",") if part]

    def names(self, prefix: str) -> Sequence[str]:
        return [name for name, _ in self.pairs if name.startswith(prefix)]

    def span(self, name: str) -> tuple[int, int] | None:
        """[from] and [to], both inclusive; `a,b`, or one number that begins."""
        since, until = self.one(f"{name}[from]"), self.one(f"{name}[to]")
        if since is None and until is None:
            if not (parts := self.many(name)):
                return None
            since, until = parts[0], parts[1] if len(parts) > 1 else None
        return _whole(since, 0), _whole(until, 1 << 40)


def _whole(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() else default
