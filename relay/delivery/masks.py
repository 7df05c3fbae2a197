"""Secrets -> the spellings in which an answer may repeat them, and texts in which these are `***`. Pure."""

import json
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
    """Yield the text as it is; as JSON has it, that of PHP, too; and URL-encoded: a redirect may quote the URL."""
    for written in (text, *(json.dumps(text, ensure_ascii=ascii_)[1:-1] for ascii_ in (True, False))):
        yield written
        yield written.replace("/", "\\/")
    encoded = quote(text, safe="", errors="replace")
    yield encoded
    yield _ENCODED.sub(lambda each: each[0].lower(), encoded)
