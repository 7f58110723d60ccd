"""Where a subject stands among a prompt's tokens, by the characters that each token covers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from ..errors import EditError
from ..vocabulary import bytes_of_characters

_WORD_END = "</w>"


def normal(text: str) -> str:
    """The text as CLIP's tokenizers read it: composed characters, lower case, single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).lower().split())


def token_spans(text: str, pieces: Sequence[str]) -> list[tuple[int, int]]:
    """The characters of :func:`normal` text that each piece covers, (start, stop).

    Args:
        text: the prompt.
        pieces: of its own tokens alone, as the tokenizer spells them (``"ros"``, ``"es</w>"``). An empty one covers what
            the piece before it covers, as the further vectors of a textual inversion do.

    Raises:
        EditError: the pieces do not spell the text.
    """
    text = normal(text)
    # The character that each byte belongs to; spaces have no token.
    owners = [place for place, character in enumerate(text) if character != " " for _ in character.encode()]
    alphabet = bytes_of_characters()
    spans: list[tuple[int, int]] = []
    start = 0
    for piece in pieces:
        if not piece and spans:
            spans.append(spans[-1])
            continue
        length = len(piece.removesuffix(_WORD_END))
        stop = start + length
        expected = text[owners[start] : owners[stop - 1] + 1].replace(" ", "") if length > 0 and stop <= len(owners) else None
        spelled = bytes(alphabet.get(character, 0) for character in piece.removesuffix(_WORD_END))
        if expected is None or spelled not in expected.encode():
            raise EditError(f"The text encoder spells “{text}” in another way than it is written; write it in plain letters.")
        spans.append((owners[start], owners[stop - 1] + 1))
        start = stop
    return spans


def last_token(text: str, pieces: Sequence[str], subject: str) -> int:
    """The place, among the prompt's own tokens, of the last one that belongs to the subject's last mention.

    Raises:
        EditError: the prompt does not name the subject, or is cut before it.
    """
    mentions = list(re.finditer(rf"(?<!\w){re.escape(normal(subject))}(?!\w)", normal(text)))
    if not mentions:
        raise EditError(f"“{text}” does not name “{subject}”; put {{}} where it belongs.")
    covered = [
        place
        for place, (start, stop) in enumerate(token_spans(text, pieces))
        if start < mentions[-1].end() and stop > mentions[-1].start()
    ]
    if not covered:
        raise EditError(f"“{text}” is cut before “{subject}”; write it shorter.")
    return covered[-1]
