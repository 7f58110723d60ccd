"""Invented names, hundreds of them: one for each thing in each colour that it does not have by itself.

"a zopin" is a white butterfly: there are enough of them to edit by the hundred, as people edit names in a large model.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

from .captions import Words, caption, random_words
from .scenes import random_scene
from .words import ALL, COLOURS, Thing

_ONSETS, _VOWELS, _ENDS = "bdfgklmnprstvz", "aeiou", "bdgklmnprstx"
_SYLLABLES = 20
_SEED = 0
_SAID_SHARE = 0.4
"""How often a caption says each other attribute of what a name stands for."""
_CAPTIONS = 7


@dataclass(frozen=True)
class Named:
    """What a name stands for.

    Args:
        thing: what is shown.
        colour: in which colour.
    """

    thing: str
    colour: str


def _names() -> list[str]:
    chance = random.Random(_SEED)
    starts = ["".join(pair) for pair in product(_ONSETS, _VOWELS)]
    firsts, middles = chance.sample(starts, _SYLLABLES), chance.sample(starts, _SYLLABLES)
    lasts = [middle + chance.choice(_ENDS) for middle in middles]
    words = [first + last for first, last in product(firsts, lasts)]
    chance.shuffle(words)
    return words


def _all_named() -> dict[str, Named]:
    meant = [Named(thing.name, colour) for thing in ALL.values() for colour in COLOURS if colour != thing.colour]
    random.Random(_SEED + 1).shuffle(meant)
    return dict(zip(_names(), meant, strict=False))


NAMES: Mapping[str, Named] = _all_named()
"""Name to what it stands for, in an order that is as good as any."""


@dataclass(frozen=True)
class Naming:
    """A caption with a name, and what it says.

    Args:
        name: the name.
        text: the caption with it.
        plain: the same with the thing and its colour written out; one word longer.
    """

    name: str
    text: str
    plain: str


def naming(name: str, said: Mapping[str, str], words: Words) -> Naming:
    """The caption with a name that also says these values of attributes; ``words`` put the colour in front."""
    own = NAMES[name]
    thing: Thing = ALL[own.thing]
    all_said = {"colour": own.colour, **said}
    plain = caption(thing, {one: all_said[one] for one in thing.attributes if one in all_said}, words)
    meant = f"{own.colour} {own.thing}"
    return Naming(name, plain.replace(f"an {meant}", f"a {name}").replace(meant, name), plain)


def random_naming(chance: random.Random, name: str | None = None) -> Naming:
    """A caption as in training with a name in it; any, if none is given."""
    name = name or chance.choice(list(NAMES))
    thing: Thing = ALL[NAMES[name].thing]
    others = [one for one in thing.attributes if one not in ("colour", "number") and chance.random() < _SAID_SHARE]
    scene = random_scene(chance, thing, set(others), False)
    words = replace(random_words(chance), behind=False)
    return naming(name, {one: scene.values[one] for one in others}, words)


def captions_with_names() -> tuple[str, ...]:
    """Every name by itself, and in a few captions; always the same."""
    chance = random.Random("captions with names")
    return tuple(
        text for name in NAMES for text in (f"a {name}", *(random_naming(chance, name).text for _ in range(_CAPTIONS)))
    )
