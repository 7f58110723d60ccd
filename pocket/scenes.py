"""Scenes: what a picture shows, drawn at random for training, and as a picture."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from PIL import Image

from .backgrounds import draw_background
from .pen import Pen
from .people import draw_person
from .things import DRAWINGS
from .words import ALL, ASSUMED_SHARE, ATTRIBUTES, Thing

SIDE = 48
"""Pixels of a picture's side."""

_FINE = 4
_BACKGROUNDS: dict[tuple[str, str], Image.Image] = {}
# Number and size to the drawings' radius, and number to their places, as shares of the side.
_RADIUS = {
    ("one", "small"): 0.26,
    ("one", "large"): 0.40,
    ("two", "small"): 0.20,
    ("two", "large"): 0.245,
    ("three", "small"): 0.19,
    ("three", "large"): 0.235,
}
_PLACES = {
    "one": ((0.5, 0.54),),
    "two": ((0.26, 0.56), (0.74, 0.56)),
    "three": ((0.26, 0.71), (0.74, 0.71), (0.5, 0.28)),
}
_SEVERAL_SHARE = 0.6


@dataclass(frozen=True)
class Scene:
    """What a picture shows.

    Args:
        thing: its name, one of :data:`~.words.ALL`.
        values: attribute to value, for every attribute that the thing has.
    """

    thing: str
    values: Mapping[str, str]


def assumed(thing: Thing, attribute: str, plural: bool = False) -> str:
    """What an unqualified caption means: for the number, one where the caption does not speak of several."""
    return "one" if attribute == "number" and not plural else getattr(thing, attribute)


def random_scene(chance: random.Random, thing: Thing, named: Collection[str], plural: bool) -> Scene:
    """A scene for a caption that names some attributes: these are drawn evenly, the others are mostly as assumed.

    Args:
        chance: where the randomness comes from.
        thing: what is shown.
        named: attributes that the caption names.
        plural: whether the caption speaks of several, at least two.
    """
    values = {}
    for attribute in thing.attributes:
        options = list(ATTRIBUTES[attribute])
        usual = assumed(thing, attribute, plural)
        if attribute == "number" and not plural:
            values[attribute] = "one"
            continue
        if attribute == "number":
            options.remove("one")
        if attribute in named:
            values[attribute] = chance.choice(options)
        elif chance.random() < ASSUMED_SHARE:
            values[attribute] = usual
        else:
            values[attribute] = chance.choice([option for option in options if option != usual])
    return Scene(thing.name, values)


def any_scenes(chance: random.Random, count: int) -> list[Scene]:
    """Scenes of anything, every attribute drawn evenly: what the judge learns from and is tried on."""
    things = chance.choices(list(ALL.values()), k=count)
    return [random_scene(chance, thing, thing.attributes, chance.random() < _SEVERAL_SHARE) for thing in things]


def _background(place: str, time: str) -> Image.Image:
    if (place, time) not in _BACKGROUNDS:
        _BACKGROUNDS[place, time] = draw_background(SIDE * _FINE, place, time)
    return _BACKGROUNDS[place, time]


def draw_scene(scene: Scene, chance: random.Random) -> Image.Image:
    """The scene as a picture, (SIDE, SIDE) RGB; ``chance`` mirrors the background and each drawing, or not."""
    values = scene.values
    side = SIDE * _FINE
    image = _background(values["place"], values["time"]).copy()
    if chance.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for x, y in _PLACES[values["number"]]:
        radius = _RADIUS[values["number"], values["size"]] * side
        pen = Pen(image, (x * side, y * side), radius, values["colour"], values["pattern"], chance.random() < 0.5)
        if "hat" in values:
            draw_person(pen, scene.thing, values["hat"] == "hat")
        else:
            DRAWINGS[scene.thing](pen)
    return image.reduce(_FINE)
