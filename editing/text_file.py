"""Text files as people save them: UTF-8 with or without a byte order mark, or UTF-16 with one (Notepad's "Unicode")."""

from __future__ import annotations

import codecs
from pathlib import Path

from .errors import EditError

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path, what: str) -> str:
    """A file's text, without its byte order mark.

    Args:
        path: of the file.
        what: it is expected to hold, in the plural, such as "captions".

    Raises:
        EditError: it cannot be read, or is no text in one of these encodings.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EditError(f"“{path}” cannot be read ({error.strerror}); give a text file of {what}.") from error
    try:
        text = data.decode("utf-16" if data.startswith(_UTF_16) else "utf-8-sig")
        if "\0" in text:  # UTF-16 without its mark is valid UTF-8 with zeros, and UTF-32 begins as UTF-16 does
            raise ValueError
    except ValueError:
        raise EditError(f"“{path}” is not encoded in UTF-8; save it so, to have its {what} read.") from None
    return text
