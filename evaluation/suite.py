"""The pocket suite: edits in the form of TIME's data set, each with what its pictures ought to show.

An edit has a source and a destination, five related prompts that ought to follow it and five unrelated ones that ought not
to. The prompts are the project's own.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from ..pocket.captions import Words, caption
from ..pocket.names import NAMES, naming
from ..pocket.scenes import assumed
from ..pocket.words import ALL, ATTRIBUTES, ROLES, THINGS, Thing

RELATED = UNRELATED = 5
_EDITS = {"colour": 28, "pattern": 12, "place": 8, "time": 6, "size": 6, "hat": 10}
_FAMILIES = (
    ("rose", "tulip", "poppy", "daisy"),
    ("apple", "pear", "cherry", "strawberry"),
    ("cat", "dog", "rabbit"),
    ("bird", "butterfly", "bee"),
    ("car", "bus"),
    ("boat", "rocket"),
    ("star", "heart", "ball", "balloon"),
    ("house", "tent", "tree"),
    tuple(role.name for role in ROLES),
)
# Ways to speak of a thing: the attributes named beside, and the words. Those that name the edited attribute are left out.
_WAYS: tuple[tuple[Mapping[str, str], Words], ...] = (
    ({"place": "snow"}, Words()),
    ({"time": "sunset"}, Words(front=True)),
    ({}, Words(plural=True, several="some")),
    ({"size": "small"}, Words(frame="a drawing of {}")),
    ({}, Words(frame="a painting of {}")),
    ({"place": "city", "time": "night"}, Words()),
    ({"colour": "purple"}, Words(frame="look at {}")),
    ({"pattern": "dotted"}, Words(frame="there is {}")),
)


@dataclass(frozen=True)
class Question:
    """A prompt.

    Args:
        prompt: the text.
        oracle: what one would have to write without an edit; the text itself where nothing ought to change.
        wanted: question to answer, as the judge ought to give them.
    """

    prompt: str
    oracle: str
    wanted: Mapping[str, str]


@dataclass(frozen=True)
class SuiteEdit:
    """An edit with its prompts.

    Args:
        source, destination: the edit.
        attribute: what kind of assumption it changes.
        split: "validation" or "test"; "all" for what only fills groups up.
        efficacy, generality, specificity: the source itself, related prompts, unrelated prompts.
    """

    source: str
    destination: str
    attribute: str
    split: str
    efficacy: tuple[Question, ...]
    generality: tuple[Question, ...]
    specificity: tuple[Question, ...]

    @property
    def measures(self) -> dict[str, tuple[Question, ...]]:
        """Measure to the prompts that it is taken on."""
        return {"efficacy": self.efficacy, "generality": self.generality, "specificity": self.specificity}


def _case(thing: Thing, attribute: str, value: str, beside: Mapping[str, str], words: Words) -> Question:
    prompt = caption(thing, beside, words)
    return Question(prompt, caption(thing, {**beside, attribute: value}, words), {"thing": thing.name, attribute: value})


def _as_assumed(thing: Thing, attribute: str) -> dict[str, str]:
    return {"thing": thing.name} | ({attribute: assumed(thing, attribute)} if attribute in thing.attributes else {})


def _neighbours(thing: Thing, attribute: str, value: str, chance: random.Random) -> list[Thing]:
    """Others that assume something else than ``value``: relatives first, then those that assume what the thing does."""
    family = next((members for members in _FAMILIES if thing.name in members), ())
    others = [other for other in ALL.values() if other != thing and getattr(other, attribute) not in (None, value)]
    chance.shuffle(others)
    mine = getattr(thing, attribute)
    return sorted(others, key=lambda other: (other.name not in family, getattr(other, attribute) != mine))


def _edit(thing: Thing, attribute: str, value: str, split: str, chance: random.Random) -> SuiteEdit:
    ways = [way for way in _WAYS if attribute not in way[0]]
    near = _neighbours(thing, attribute, value, chance)
    far = near[2:]
    chance.shuffle(far)
    unrelated = [*near[:2], *far[: UNRELATED - 2]]
    # Few enough roles go bareheaded that things without a head have to fill the row.
    unrelated += chance.sample(THINGS, UNRELATED - len(unrelated))
    plain = Words()
    return SuiteEdit(
        source=caption(thing, {}),
        destination=caption(thing, {attribute: value}),
        attribute=attribute,
        split=split,
        efficacy=(_case(thing, attribute, value, {}, plain),),
        generality=tuple(_case(thing, attribute, value, beside, words) for beside, words in ways[:RELATED]),
        specificity=tuple(
            Question(caption(other, {}), caption(other, {}), _as_assumed(other, attribute)) for other in unrelated
        ),
    )


def pocket_suite() -> list[SuiteEdit]:
    """All edits; every second one is for validation. Always the same."""
    chance = random.Random("pocket suite")
    edits = []
    for attribute, count in _EDITS.items():
        things = list(ROLES if attribute == "hat" else THINGS)
        chance.shuffle(things)
        for thing in things[:count]:
            value = chance.choice([value for value in ATTRIBUTES[attribute] if value != getattr(thing, attribute)])
            split = ("validation", "test")[len(edits) % 2]
            edits.append(_edit(thing, attribute, value, split, chance))
    return edits


def named_edits() -> list[SuiteEdit]:
    """An edit of each invented name, with no prompts around it: groups larger than the suite are filled up with them."""
    chance = random.Random("named edits")
    edits = []
    for name, own in NAMES.items():
        thing = ALL[own.thing]
        attribute = chance.choice(("pattern", "place", "time", "size"))
        value = chance.choice([value for value in ATTRIBUTES[attribute] if value != getattr(thing, attribute)])
        plain, edited = naming(name, {}, Words()), naming(name, {attribute: value}, Words())
        wanted = {"thing": own.thing, "colour": own.colour, attribute: value}
        case = Question(plain.text, edited.text, wanted)
        edits.append(SuiteEdit(plain.text, edited.text, attribute, "all", (case,), (), ()))
    return edits
