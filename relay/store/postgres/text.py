"""Text -> what PostgreSQL takes as text: it refuses NUL and lone surrogates, which bodies may bring."""

import re

_REFUSED = re.compile("[\0\ud800-\udfff]")


def clean(text: str) -> str:
    """Replace each character that PostgreSQL refuses by U+FFFD; what is stored and what is looked for alike."""
    return text if text.isascii() and "\0" not in text else _REFUSED.sub("\ufffd", text)


def clean_or_none(text: str | None) -> str | None:
    """As `clean`; None stays None."""
    return None if text is None else clean(text)
