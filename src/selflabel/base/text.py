"""Text from outside (file names, cells of tables) made fit for a table, for one line of a terminal, and for a sentence."""

from __future__ import annotations

import re

SURROGATES = re.compile("[\ud800-\udfff]")  # what Python makes of bytes that are no UTF-8
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")  # and changes of direction


def is_utf8(text: str) -> bool:
    """Whether a text can be written as UTF-8: a file's name may hold other bytes.

    Example:
        >>> is_utf8("café.png"), is_utf8(b"caf\\xe9.png".decode(errors="surrogateescape"))
        (True, False)
    """
    return text.isascii() or SURROGATES.search(text) is None


def as_utf8(text: str) -> str:
    r"""The text with what is no UTF-8 escaped; line breaks stay.

    Example:
        >>> as_utf8(b"caf\xe9.png".decode(errors="surrogateescape"))
        'caf\\xe9.png'
    """
    return SURROGATES.sub(escaped, text)


def printable(text: str) -> str:
    r"""The text on one line that cannot steer a terminal: control characters and what is no UTF-8 are escaped.

    Example:
        >>> printable("a\nb \x1b[31mé.png")
        'a\\nb \\x1b[31mé.png'
    """
    return CONTROLS.sub(escaped, text)


def escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    is_byte = 0xDC80 <= code <= 0xDCFF  # the byte itself, as os.fsdecode keeps it
    return f"\\x{code - 0xDC00:02x}" if is_byte else match.group().encode("unicode_escape").decode()


def shortened(text: str, limit: int = 80) -> str:
    """The beginning of a long text.

    Example:
        >>> shortened("a" * 200, 8)
        'aaaaa...'
    """
    return text if len(text) <= limit else text[: limit - 3] + "..."
