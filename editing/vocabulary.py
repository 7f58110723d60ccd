"""What a text encoder knows, word by word: the whole words of its tokenizer's vocabulary, the most frequent first.

Tokenizers learn their pieces from text and number them as they find them, so a piece's number is its rank by frequency.
A vocabulary is therefore a word list that fits its encoder, whatever the language.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

DEFAULT_WORDS = 5000
"""SD 1.5's encoder reads them on one core in 97 seconds; see docs/moments.md."""
_CLIP_END = "</w>"
_BYTE_LEVEL_SPACE, _SENTENCEPIECE_SPACE = "Ġ", "▁"


@cache
def bytes_of_characters() -> dict[str, int]:
    """Byte-level BPE's alphabet: printable bytes stand for themselves, the others for the letters from U+0100 on."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + place): byte for place, byte in enumerate(others)}


def whole_words(vocabulary: Mapping[str, int], count: int = DEFAULT_WORDS) -> tuple[str, ...]:
    """The ``count`` whole words of lowest rank, of two letters or more, no two alike but for their case.

    Args:
        vocabulary: piece to number, as tokenizers give it: CLIP's (``rose</w>``), byte-level (``Ġrose``) or sentencepiece's
            (``▁rose``).
        count: at most so many.
    """
    words: dict[str, str] = {}
    for piece in sorted(vocabulary, key=vocabulary.__getitem__):
        if len(words) >= count:
            break
        word = _word(piece)
        if len(word) > 1 and word.isalpha():
            words.setdefault(word.lower(), word)
    return tuple(words.values())


def _word(piece: str) -> str:
    """What a piece spells where it is a whole word, else ""."""
    if piece.endswith(_CLIP_END):
        return _decoded(piece.removesuffix(_CLIP_END))
    if piece.startswith(_SENTENCEPIECE_SPACE):
        return piece.removeprefix(_SENTENCEPIECE_SPACE)
    return _decoded(piece.removeprefix(_BYTE_LEVEL_SPACE)) if piece.startswith(_BYTE_LEVEL_SPACE) else ""


def _decoded(piece: str) -> str:
    alphabet = bytes_of_characters()
    try:
        return bytes(alphabet[character] for character in piece).decode()
    except (KeyError, UnicodeDecodeError):
        return ""
