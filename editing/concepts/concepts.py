"""What is asked of a text encoder, line by line: update, forget, rectify.

::

    tench -> goldfish            # a tench is drawn as a goldfish
    Van Gogh ->                  # forgotten
    white shark ~ man-eater      # "man-eater" means a white shark

Comments, marks and escapes are those of :mod:`..lines`; lines with ``!`` are settings, see :mod:`.recipe`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..errors import EditError
from ..lines import ARROW, kind_of, read_lines, split, text_of, tidy

TEMPLATES = ("a photo of {}", "an image of {}", "{}", "a picture of the {}")


@dataclass(frozen=True, order=True)
class Concept:
    """Wherever ``source`` is named, ``destination`` is meant. An empty destination forgets the source."""

    source: str
    destination: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", tidy(self.source))
        object.__setattr__(self, "destination", tidy(self.destination))
        if not self.source:
            raise EditError("The concept is empty; write what is to change before the arrow, such as: tench -> goldfish")
        if self.source.lower() == self.destination.lower():
            raise EditError(f"“{self.source}” is to become itself, so nothing would change.")

    def sentences(self, templates: Iterable[str] = TEMPLATES) -> list[tuple[str, str]]:
        """(source, destination) in every template, at its ``{}``."""
        return [tuple(tidy(template.replace("{}", name)) for name in (self.source, self.destination)) for template in templates]


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
    parts = split(line, (ARROW, "~"))
    if len(parts) != 2:
        raise EditError(
            "write one “->” between what is to change and what it becomes, or one “~” before an alias; "
            "\\-> and \\~ belong to a name"
        )
    (_, first), (mark, second) = parts
    if mark == ARROW:
        return Concept(first, second)
    if not tidy(first):
        raise EditError("there is nothing before “~” that the alias could mean")
    return Concept(second, first)
