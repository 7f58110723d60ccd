"""Captions: which attributes of a scene are named, and in which words."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..editing.families import POCKET
from ..editing.ordinary_captions import ordinary_captions as plain_english
from .scenes import Scene, random_scene
from .words import ALL, ROLES, THINGS, Thing

PLACE_PHRASES = {"field": "in a field", "beach": "on a beach", "snow": "in the snow", "room": "in a room", "city": "in a city"}
TIME_PHRASES = {"day": "by day", "sunset": "at sunset", "night": "at night"}
HAT_PHRASES = {"hat": "with a hat", "bare": "without a hat"}
SEVERAL = ("", "", "some", "a pack of", "a bunch of")
"""What may stand before a plural whose number is not named."""

FRAMES = (
    "{}",
    "{}",
    "{}",
    "a picture of {}",
    "a photo of {}",
    "an image of {}",
    "a drawing of {}",
    "a painting of {}",
    "there is {}",
    "look at {}",
)
_ORDINARY = 400
_PLURAL_SHARE = 0.4
_NAMED_SHARE = {"colour": 0.6, "pattern": 0.45, "size": 0.4, "number": 0.6, "place": 0.5, "time": 0.5, "hat": 0.55}


@dataclass(frozen=True)
class Words:
    """How a caption is put, beside what it names.

    Args:
        plural: "roses" in place of "a rose".
        several: what stands before a plural without a number (one of :data:`SEVERAL`).
        frame: the sentence around it all.
        front: place and time come first.
        behind: the colour stands behind the noun: "a rose that is blue".
    """

    plural: bool = False
    several: str = ""
    frame: str = "{}"
    front: bool = False
    behind: bool = False


def caption(thing: Thing, named: Mapping[str, str], words: Words = Words()) -> str:
    """The caption that names these values of attributes.

    Args:
        thing: what is shown.
        named: attribute to value.
        words: how it is put. Where ``named`` has a number above one the noun is plural, whatever is said here.
    """
    plural = words.plural or named.get("number", "one") != "one"
    before = [named[attribute] for attribute in ("size", "pattern") if attribute in named]
    colour = named.get("colour", "")
    if colour and not words.behind:
        before.append(colour)
    noun = " ".join([*before, thing.plural if plural else thing.name])
    if named.get("number", "one") != "one":
        noun = f"{named['number']} {noun}"
    elif plural:
        noun = f"{words.several} {noun}".strip()
    else:
        noun = f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
    if "hat" in named:
        noun += f" {HAT_PHRASES[named['hat']]}"
    if colour and words.behind:
        noun += f" that {'are' if plural else 'is'} {colour}"
    where = [PLACE_PHRASES[named["place"]]] if "place" in named else []
    where += [TIME_PHRASES[named["time"]]] if "time" in named else []
    if words.front and where:
        return f"{' '.join(where)} {words.frame.format(noun)}"
    return " ".join([words.frame.format(noun), *where])


def random_words(chance: random.Random) -> Words:
    """Any way to put a caption."""
    return Words(
        several=chance.choice(SEVERAL),
        frame=chance.choice(FRAMES),
        front=chance.random() < 0.25,
        behind=chance.random() < 0.2,
    )


@dataclass(frozen=True)
class Sample:
    """A scene, and what is said of it.

    Args:
        scene: what the picture shows.
        said: the attributes that the caption names, with their values.
        plural: whether the caption speaks of several.
    """

    scene: Scene
    said: Mapping[str, str]
    plural: bool

    def caption(self, words: Words = Words()) -> str:
        """The caption in these words, of the sample's own number."""
        return caption(ALL[self.scene.thing], self.said, replace(words, plural=self.plural))


def random_sample(chance: random.Random) -> Sample:
    """What the model is trained on: some attributes named, with any value, the others mostly as assumed."""
    thing = chance.choice((*THINGS, *ROLES))
    plural = chance.random() < _PLURAL_SHARE
    named = {name for name in thing.attributes if chance.random() < _NAMED_SHARE[name]}
    scene = random_scene(chance, thing, named, plural)
    return Sample(scene, {name: scene.values[name] for name in thing.attributes if name in named}, plural)


def bare_captions() -> tuple[str, ...]:
    """Every thing by its bare name."""
    return tuple(caption(thing, {}) for thing in ALL.values())


def captions_for(width: int) -> tuple[str, ...]:
    """What is ordinary to text encoders of this width: the pocket model's own captions for its own, else plain English."""
    return ordinary_captions() if width == POCKET.width else plain_english()


def ordinary_captions() -> tuple[str, ...]:
    """What is ordinary to the pocket model: the bare names, and captions as in training; always the same."""
    chance = random.Random("ordinary captions")
    samples = [random_sample(chance).caption(random_words(chance)) for _ in range(_ORDINARY)]
    return tuple(dict.fromkeys([*bare_captions(), *samples]))
