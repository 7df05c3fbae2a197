"""Form bytes -> keys and texts, all of them by a few calls that run in C.

form.py's loop over the pairs is the definition; it also reads what is unusual here, and says what is wrong with it.
"""

from binascii import a2b_qp

from relay.amocrm.form import MAX_PAIRS

MAX_BODY = 2 * MAX_PAIRS
"""Bytes, so that there are not more pairs either. For a moment the body exists five times over."""

_KEPT = b"&=\0\r\n"  # of which the last three are unusual: a2b_qp joins lines, and NUL separates below
_OTHERS = bytes(set(range(256)).difference(_KEPT))
_QUOTED_PRINTABLE = bytes.maketrans(b"&=+%", b"\0\0 =")  # percent escapes with another sign


def split(body: bytes) -> tuple[list[str], list[str]] | None:
    """The decoded keys and their texts, of which `form.tree_of` makes what `form.decode` makes of the body.

    None, and the body must be read pair by pair, if it may be something else than a form, if a pair has not exactly one
    `=`, an escape is invalid, the text is not UTF-8, or there is a NUL or a line end.
    """
    if len(body) > MAX_BODY or not (body.isascii() and body[:1].isalpha()):
        return None
    separators = body.translate(None, _OTHERS)
    count = len(separators) + 1 >> 1
    if separators != (b"=&" * count)[:-1]:
        return None
    raw = a2b_qp(body.translate(_QUOTED_PRINTABLE))
    # an invalid escape leaves its sign, except at the very end, and shortens the body by less than two
    if (b"=" in raw or body[-1:] == b"%") and len(raw) + 2 * body.count(b"%") != len(body):
        return None
    try:
        parts = raw.decode().split("\0")
    except UnicodeDecodeError:
        return None
    return (parts[::2], parts[1::2]) if len(parts) == 2 * count else None  # not so: %00
