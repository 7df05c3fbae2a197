"""Secrets -> the spellings in which an answer may repeat them, and texts in which these are `***`. Pure."""

import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote

_ENCODED = re.compile("%[0-9A-F]{2}")


def spellings(texts: Iterable[str]) -> tuple[str, ...]:
    """Every spelling of these texts, longest first, so that none is masked in part."""
    found = {form for text in texts if text for form in _spellings(text)}
    return tuple(sorted(found, key=len, reverse=True))


def masked(text: str, secrets: Iterable[str]) -> str:
    """Put `***` in the place of each of these spellings, which are longest first."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _spellings(text: str) -> Iterator[str]:
    """Yield the text as it is; as JSON of PHP has it; and URL-encoded: a redirect to a login may quote the URL."""
    yield text
    yield text.replace("/", "\\/")
    encoded = quote(text, safe="", errors="replace")
    yield encoded
    yield _ENCODED.sub(lambda each: each[0].lower(), encoded)
