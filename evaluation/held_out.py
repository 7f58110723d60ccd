"""Things that a method is told nothing about, to see what becomes of what nobody listed.

The pocket model's captions name all that it knows; a user's text encoder knows far more than any captions. So each half of its
things is taken out of captions and preserve lists once, and unrelated prompts about that half are drawn then.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from ..pocket.words import ALL


def _halves() -> tuple[frozenset[str], frozenset[str]]:
    names = sorted(ALL)
    random.Random("held out").shuffle(names)
    return frozenset(names[::2]), frozenset(names[1::2])


HALVES = _halves()


def without(captions: Iterable[str], things: frozenset[str]) -> tuple[str, ...]:
    """The captions that name none of the things, neither one nor several."""
    names = {word for thing in things for word in (ALL[thing].name, ALL[thing].plural)}
    return tuple(caption for caption in captions if names.isdisjoint(caption.split()))
