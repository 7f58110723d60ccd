"""What is asked of a text encoder, line by line: update, forget, rectify.

::

    tench -> goldfish            # a tench is drawn as a goldfish
    Van Gogh ->                  # forgotten
    white shark ~ man-eater      # "man-eater" means a white shark
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import EditError
from ..recipe import tidy

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


def parse_concepts(text: str) -> tuple[Concept, ...]:
    """Read lines of concepts, in their order and without repetitions.

    Raises:
        EditError: lines that are not understood, named by number, or none at all.
    """
    found: dict[str, Concept] = {}
    problems = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        try:
            concept = _parse(line)
            known = found.setdefault(concept.source.lower(), concept)
            if known != concept:
                raise EditError(f"“{concept.source}” has another destination already")
        except EditError as error:
            problems.append(f"Line {number}: {str(error).rstrip('.')}.")
    if problems:
        raise EditError("\n".join(problems))
    if not found:
        raise EditError("There is no concept; add a line such as: tench -> goldfish")
    return tuple(found.values())


def _parse(line: str) -> Concept:
    if line.count("->") + line.count("~") != 1:
        raise EditError("write one “->” between what is to change and what it becomes, or one “~” before an alias")
    if "->" in line:
        return Concept(*line.split("->"))
    meant, alias = line.split("~")
    if not tidy(meant):
        raise EditError("there is nothing before “~” that the alias could mean")
    return Concept(alias, meant)
