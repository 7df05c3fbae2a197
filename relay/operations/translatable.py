"""Texts that the console translates and others give in English: marked where they stand, for the catalogs."""

from typing import NamedTuple


class Plural(NamedTuple):
    """A text for one, and for any other count."""

    one: str
    many: str

    def of(self, count: int) -> str:
        """The English one."""
        return self.one if count == 1 else self.many


def N_(text: str) -> str:  # noqa: N802  gettext's name for "to be translated later"
    """Mark a text for the catalogs."""
    return text


def NN_(one: str, many: str) -> Plural:  # noqa: N802  the same of `ngettext`
    """Mark a text with a plural for the catalogs."""
    return Plural(one, many)
