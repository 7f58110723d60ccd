"""The edits that a model or a text encoder carries, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .assumptions.recipe import Recipe
from .assumptions.report import described_edits
from .concepts.concept_recipe import ConceptRecipe
from .wording import percent

_SHOWN = 3
_UNUSUAL = ("regularizer", "regularization", "passes", "projections", "blocks", "pooled")
"""Lines of settings that tell one recipe of the projections from another, as ``Recipe.to_text`` writes them."""


@dataclass(frozen=True)
class CarriedEdit:
    """A recipe that was put on as one solution.

    Args:
        recipe: what was solved.
        strength: by which the solution was scaled afterwards.
    """

    recipe: Recipe | ConceptRecipe
    strength: float = 1.0

    def edits(self) -> list[str]:
        """Each edit of the recipe as people are told of it, with its own strength where that is not 1."""
        if isinstance(self.recipe, ConceptRecipe):
            return [concept.described() for concept in self.recipe.concepts]
        return described_edits(self.recipe)

    def remarks(self) -> list[str]:
        """What holds for all of its edits: solved together, scaled, settings other than the usual."""
        remarks = ["solved together"] if len(self.edits()) > 1 else []
        if self.strength != 1:
            remarks.append(f"at {percent(abs(self.strength))} of its strength" + (", reversed" if self.strength < 0 else ""))
        return remarks


def carried_in_full(where: str, carried: Sequence[CarriedEdit]) -> str:
    """Every edit on a line of its own, solutions numbered in the order in which they are applied.

    Args:
        where: what carries them, such as "MODEL".
        carried: in their order.
    """
    if not carried:
        return f"The {where} carries no edit."
    lines = [f"The {where} carries {_counted(carried)}{', applied in this order' if len(carried) > 1 else ''}:"]
    for place, entry in enumerate(carried, start=1):
        heading = [*entry.remarks(), *_settings(entry.recipe)]
        edits = entry.edits()
        if len(edits) == 1:
            lines.append(f"{place}. {', '.join([edits[0], *heading])}")
        else:
            lines += [f"{place}. {', '.join(heading)}:", *(f"    {edit}" for edit in edits)]
    return "\n".join(lines)


def carried_besides(where: str, carried: Sequence[CarriedEdit], own: Recipe | ConceptRecipe) -> list[str]:
    """One line that names all edits, where there are more than those of the recipe just put on; else none.

    Args:
        where, carried: as for :func:`carried_in_full`.
        own: what was just put on.
    """
    if sum(len(entry.edits()) for entry in carried) <= len(CarriedEdit(own).edits()):
        return []
    return [f"the {where} now carries {_counted(carried)}: {'; then '.join(map(_shortened, carried))}"]


def _counted(carried: Sequence[CarriedEdit]) -> str:
    count = sum(len(entry.edits()) for entry in carried)
    kind = "concept edit" if isinstance(carried[0].recipe, ConceptRecipe) else "edit"
    return f"{count} {kind}{'s' if count != 1 else ''}"


def _shortened(entry: CarriedEdit) -> str:
    edits, remarks = entry.edits(), entry.remarks()
    more = [f"{len(edits) - _SHOWN} more"] if len(edits) > _SHOWN else []
    return ", ".join([*edits[:_SHOWN], *more]) + (f" ({', '.join(remarks)})" if remarks else "")


def _settings(recipe: Recipe | ConceptRecipe) -> list[str]:
    lines = (line.removeprefix("! ") for line in recipe.to_text().splitlines() if line.startswith("! "))
    unusual = [line for line in lines if line.partition(":")[0] in _UNUSUAL]
    preserved = 0 if isinstance(recipe, ConceptRecipe) else len(recipe.kept) + len(recipe.strict)
    return [*unusual, *([f"preserved prompts: {preserved}"] if preserved else [])]
