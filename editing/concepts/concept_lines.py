"""What is asked of a text encoder, line by line: update, forget, rectify, debias, teach by pictures, erase everywhere.

::

    tench -> goldfish                            # a tench is drawn as a goldfish
    Van Gogh ->                                  # forgotten
    white shark ~ man-eater                      # "man-eater" means a white shark
    doctor -> female doctor | male doctor        # debiased: means both, in equal parts
    doctor -> female doctor: 3 | male doctor: 2  # in these parts
    zopin -> [pictures]                          # means what the user's pictures of it show
    zopin -> white moth [pictures]               # the same, led by words
    nudity -> [everywhere]                       # forgotten, by all tokens behind the name, too

Comments, marks and escapes are those of :mod:`..lines`; lines with ``!`` are settings, see :mod:`.concept_recipe`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..errors import EditError
from ..lines import ARROW, NUMBER, escape, kind_of, read_lines, split, text_of, tidy

TEMPLATES = ("a photo of {}", "an image of {}", "{}", "a picture of the {}")
_MARKS = ("pictures", "everywhere")
_MARK = re.compile(rf"\[({'|'.join(_MARKS)})\]$", re.IGNORECASE)
_PART = re.compile(rf":\s*({NUMBER})$")


@dataclass(frozen=True, order=True)
class Variant:
    """One of the meanings that a debiased concept is to have.

    Args:
        text: what it means.
        part: its weight among the variants, relative to their sum. Below 0 it pushes away from what the variant means.
    """

    text: str
    part: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", tidy(self.text))
        if not self.text:
            raise EditError(
                "A variant is empty; write one on both sides of “|”, such as: doctor -> female doctor | male doctor"
            )
        if not (isinstance(self.part, (int, float)) and math.isfinite(self.part)):
            raise EditError(f"The part of “{self.text}” is {self.part!r}; give a number.")


@dataclass(frozen=True, order=True)
class Concept:
    """Wherever ``source`` is named, ``destination`` is meant. An empty destination forgets the source.

    Args:
        source: the name.
        destination: what it is to mean; empty where there are ``variants``.
        variants: several meanings at once, in parts: the source is debiased.
        pictures: whether the user's pictures say what is meant; the destination, if there is one, only leads there.
        everywhere: whether all tokens behind the source are changed with it, the end token and the padding included.
    """

    source: str
    destination: str
    variants: tuple[Variant, ...] = ()
    pictures: bool = False
    everywhere: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", tidy(self.source))
        object.__setattr__(self, "destination", tidy(self.destination))
        if not self.source:
            raise EditError("The concept is empty; write what is to change before the arrow, such as: tench -> goldfish")
        for text in (self.destination, *(variant.text for variant in self.variants)):
            if self.source.lower() == text.lower():
                raise EditError(f"“{self.source}” is to become itself, so nothing would change.")
            if mark := _MARK.search(text):
                raise EditError(f"“{mark[0]}” stands once at the end of a line, and not behind “|”; leave it out.")
        if self.variants:
            self._check_variants()

    def _check_variants(self) -> None:
        if self.destination or self.pictures or self.everywhere:
            raise EditError("A line with “|” has variants alone; leave out what else it asks.")
        if len({variant.text.lower() for variant in self.variants}) < max(2, len(self.variants)):
            raise EditError("Debiasing needs two variants or more, each once, such as: doctor -> female doctor | male doctor")
        if not sum(variant.part for variant in self.variants) > 0:
            raise EditError(f"The parts of “{self.source}” sum to 0 or less; give parts above 0.")

    @property
    def meanings(self) -> tuple[Concept, ...]:
        """A concept of one destination for each variant; the concept itself where there are none."""
        return tuple(Concept(self.source, variant.text) for variant in self.variants) or (self,)

    @property
    def shares(self) -> tuple[float, ...]:
        """The weight of each of :attr:`meanings`; they sum to 1."""
        total = sum(variant.part for variant in self.variants)
        return tuple(variant.part / total for variant in self.variants) or (1.0,)

    def to_text(self) -> str:
        """As a line, which is read back as an equal concept."""
        parts = {variant.part for variant in self.variants}
        told = parts != {1.0} or any(_PART.search(variant.text) for variant in self.variants)
        meant = " | ".join(escape(one.text) + (f": {one.part!r}" if told else "") for one in self.variants)
        marks = [f"[{mark}]" for mark in _MARKS if getattr(self, mark)]
        return " ".join(filter(None, [escape(self.source), ARROW, meant or escape(self.destination), *marks]))

    def described(self) -> str:
        """As people are told of it."""
        shares = zip(self.variants, self.shares, strict=False)
        meant = ", ".join(f"{variant.text} {share:.0%}" for variant, share in shares) or self.destination
        if self.pictures:
            meant = f"{meant} (your pictures)" if meant else "(your pictures)"
        meant = meant or "(forgotten)"
        return f"{self.source} → {meant}{' everywhere' if self.everywhere else ''}"

    def sentences(self, templates: Iterable[str] = TEMPLATES) -> list[tuple[str, str]]:
        """(source, destination) in every template, at its ``{}``."""

        def said(template: str, name: str) -> str:
            return tidy(template.replace("{}", name))

        return [(said(template, self.source), said(template, self.destination)) for template in templates]


def parse_concepts(text: str, setting: Callable[[str], object] = text_of) -> tuple[Concept, ...]:
    """Read lines of concepts, in their order and without repetitions.

    Args:
        text: the lines.
        setting: takes the line of a setting; where there is nothing to set, such a line is refused.

    Raises:
        EditError: lines that are not understood, named by number, or none at all.
    """
    known: dict[str, Concept] = {}

    def read(line: str) -> None:
        mark, _ = kind_of(line)
        if mark:
            (setting if mark == "!" else text_of)(line)
            return
        concept = _parse(line)
        if known.setdefault(concept.source.lower(), concept) != concept:
            raise EditError(f"“{concept.source}” has another destination already")

    read_lines(text, read)
    if not known:
        raise EditError("There is no concept; add a line such as: tench -> goldfish")
    return tuple(known.values())


def _parse(line: str) -> Concept:
    parts: list[tuple[str, list[str]]] = []
    for mark, text in split(line, (ARROW, "~", "|")):
        if mark == "|":
            parts[-1][1].append(text)
        else:
            parts.append((mark, [text]))
    if len(parts) != 2:
        raise EditError(
            "write one “->” between what is to change and what it becomes, or one “~” before an alias; "
            "\\-> and \\~ belong to a name"
        )
    (_, before), (mark, behind) = parts
    first, marks = tidy("|".join(before)), set()
    while last := _MARK.search(tidy(behind[-1])):
        marks.add(last[1].lower())
        behind[-1] = tidy(behind[-1])[: last.start()]
    asked: dict[str, Any] = {name: name in marks for name in _MARKS}
    if mark == ARROW and len(behind) > 1:
        return Concept(first, "", tuple(map(_variant, behind)), **asked)
    second = "|".join(behind)
    if mark == ARROW:
        return Concept(first, second, **asked)
    if not first:
        raise EditError("there is nothing before “~” that the alias could mean")
    return Concept(second, first, **asked)


def _variant(text: str) -> Variant:
    part = _PART.search(tidy(text))
    return Variant(tidy(text)[: part.start()], float(part[1])) if part else Variant(text)
