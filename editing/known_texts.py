"""The texts that an encoder is known to read: ordinary captions, and words of its own vocabulary in a short prompt each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress

from .alignment import LIGHT_WORDS

_WORD_FORM = "a {}"
_AROUND_WORDS = ".,;:!?\"'()[]"


@dataclass(frozen=True)
class KnownTexts:
    """What an encoder is known to read, as prompts, in the order in which they are read.

    Args:
        captions: ordinary ones.
        words: of its vocabulary, the most frequent first.
    """

    captions: Sequence[str]
    words: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.captions) + len(self.words)

    def within(self, words: int) -> KnownTexts:
        """With so many of its words at most."""
        return KnownTexts(self.captions, self.words[:words])

    def batch(self, start: int, size: int) -> list[str]:
        """At most so many prompts from number ``start`` on: of captions or of words, not of both."""
        if start < len(self.captions):
            return list(self.captions[start : start + size])
        start -= len(self.captions)
        return [_WORD_FORM.format(word) for word in self.words[start : start + size]]

    def about(self, subjects: Iterable[str]) -> KnownTexts:
        """Those that speak of a subject: that have all of its words but articles and the like, in singular or plural."""
        wanted = [words for words in map(_content, dict.fromkeys(subjects)) if words]
        speak = [any(words <= said for words in wanted) for said in self._said]
        captions, words = speak[: len(self.captions)], speak[len(self.captions) :]
        return KnownTexts(tuple(compress(self.captions, captions)), tuple(compress(self.words, words)))

    @cached_property
    def _said(self) -> list[frozenset[str]]:
        """The words of each caption, then of each word; every edit asks for them."""
        return [_content(text) for text in (*self.captions, *self.words)]


def _content(text: str) -> frozenset[str]:
    words = (word.strip(_AROUND_WORDS) for word in text.lower().split())
    return frozenset(_stem(word) for word in words if word and word not in LIGHT_WORDS)


def _stem(word: str) -> str:
    """The same for a noun and its plural, by their endings alone: “ros” of rose and roses, “bus” of bus and buses."""
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    return word[:-1] if len(word) > 3 and word.endswith("e") else word
