"""Ordinary captions in plain English: what a text encoder is asked to leave alone where nothing else is said."""

from __future__ import annotations

import random
from itertools import chain

_SUBJECTS = (
    "man woman boy girl child baby family doctor nurse teacher student chef farmer soldier king queen wizard pirate "
    "astronaut dancer singer painter dog cat horse cow sheep rabbit fox bear lion elephant monkey mouse bird owl "
    "eagle duck chicken fish whale shark turtle frog snake bee butterfly spider dragon robot rose tulip poppy daisy "
    "sunflower tree forest flower leaf mushroom cactus apple pear orange banana cherry strawberry lemon grape "
    "carrot tomato potato cake pizza burger bread cheese soup coffee wine car bus truck train bicycle motorcycle "
    "boat ship plane rocket balloon house castle church bridge tower tent street city village kitchen bedroom "
    "garden park beach mountain river lake ocean desert island field sky moon star cloud sunset storm fire chair "
    "table bed lamp clock book phone computer camera guitar piano cup bottle bowl knife umbrella hat shirt dress "
    "shoe bag ball toy gift heart sword crown statue painting poster map logo "
)
_LOOKS = (
    "red blue green yellow purple orange pink white black brown golden small large old young happy beautiful dark "
    "bright striped wooden colorful "
)
_PLACES = (
    "in a field", "on a beach", "in the snow", "in a room", "in a city", "in the rain", "on a table", "in front of a house",
    "at night", "at sunset", "in the forest", "under a blue sky", "by the sea", "on the street", "in a garden", "by day",
)  # fmt: skip
_FORMS = (
    "{}", "a photo of {}", "a painting of {}", "a picture of {}", "{}, highly detailed", "a close-up of {}", "a drawing of {}",
    "{}, oil on canvas", "an image of {}", "{}, black and white photograph", "portrait of {}", "{}, digital art",
)  # fmt: skip


def _one(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def generated_captions(count: int) -> tuple[str, ...]:
    """As many captions, always the same: the ordinary ones, then subjects that look like something, somewhere, at random."""
    chance, captions = random.Random("captions"), dict.fromkeys(ordinary_captions())
    subjects, looks = _SUBJECTS.split(), _LOOKS.split()
    while len(captions) < count:
        noun = f"{chance.choice(looks)} {chance.choice(subjects)}"
        captions.setdefault(chance.choice(_FORMS).format(f"{_one(noun)} {chance.choice(_PLACES)}"))
    return tuple(captions)[:count]


def ordinary_captions() -> tuple[str, ...]:
    """Some 300 captions, always the same: every subject by itself, and every subject somewhere, looking like something."""
    subjects, looks = _SUBJECTS.split(), _LOOKS.split()
    bare = map(_one, subjects)
    scenes = (
        _FORMS[number % len(_FORMS)].format(
            " ".join((_one(f"{looks[number * 5 % len(looks)]} {noun}"), _PLACES[number * 3 % len(_PLACES)]))
        )
        for number, noun in enumerate(subjects)
    )
    return tuple(dict.fromkeys(chain(bare, scenes)))
