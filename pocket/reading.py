"""What a caption names, read off its words, and which of several captions a picture shows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from .captions import HAT_PHRASES, PLACE_PHRASES, TIME_PHRASES
from .words import ALL, ATTRIBUTES


def named_in(caption: str) -> dict[str, str]:
    """The thing and the attribute values that a caption names."""
    words = " ".join(re.findall("[a-z]+", caption.lower()))
    spelled = f" {words} "
    named = {}
    for thing in ALL.values():
        if f" {thing.name} " in spelled or f" {thing.plural} " in spelled:
            named["thing"] = thing.name
    for attribute, phrases in (("place", PLACE_PHRASES), ("time", TIME_PHRASES), ("hat", HAT_PHRASES)):
        named |= dict((attribute, value) for value, phrase in phrases.items() if f" {phrase} " in spelled)
    for attribute in ("colour", "pattern", "size", "number"):
        named |= dict((attribute, value) for value in ATTRIBUTES[attribute] if f" {value} " in spelled)
    return named


def shown_among(answers: Mapping[str, str], captions: Sequence[str]) -> int | None:
    """The caption that a picture shows: the one that names most, of those that it shows whole; None for none.

    Args:
        answers: what the judge says of the picture.
        captions: what it may show.
    """
    named = [named_in(caption) for caption in captions]
    fitting = [
        number
        for number, values in enumerate(named)
        if values and all(answers[question] == value for question, value in values.items())
    ]
    return max(fitting, key=lambda number: len(named[number]), default=None)
