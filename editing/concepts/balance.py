"""Debiased concepts in the shares that are wanted: how much each variant weighs is tuned by pictures, for all of them at once.

EMCID's release tunes one concept after the other, each written alone, and writes all of them when it is done. Here each round
writes all concepts together, since together they change each other; the weights follow :func:`..debias.next_weights`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..debias import Round, Wanted, mean_gap, tune_together
from ..errors import EditError
from .concepts import Concept
from .recipe import ConceptRecipe

CountShown = Callable[[ConceptRecipe, int], Mapping[str, Sequence[int]]]
"""A recipe and a round's number to, for each debiased source, how many pictures showed each of its variants."""


@dataclass(frozen=True)
class Balance:
    """A round.

    Args:
        recipe: with the weights that were tried.
        rounds: source to the rounds of its concept so far.
        gap: the mean over debiased concepts of how far the share that is furthest off is from the one wanted.
    """

    recipe: ConceptRecipe
    rounds: Mapping[str, Sequence[Round]]
    gap: float


def balance(recipe: ConceptRecipe, count_shown: CountShown, budget: int, tolerance: float = 0.0) -> Iterator[Balance]:
    """Round after round, until all shares are right or the budget is spent; what is wanted are the shares of ``recipe``.

    Args:
        recipe: at least one of its concepts is debiased.
        count_shown: writes, draws and judges.
        budget: rounds.
        tolerance: the gap at which to stop.

    Raises:
        EditError: no concept is debiased.
    """
    wanted = {one.source: Wanted(one.source, _texts(one), one.shares) for one in recipe.concepts if one.variants}
    if not wanted:
        raise EditError("No line is debiased; write variants with “|” between, such as: doctor -> female doctor | male doctor")

    def tried(weights: Mapping[str, Sequence[float]]) -> ConceptRecipe:
        return replace(recipe, concepts=tuple(_weighted(one, weights.get(one.source)) for one in recipe.concepts))

    for rounds in tune_together(wanted, lambda weights, number: count_shown(tried(weights), number), tolerance, budget):
        last = tried({source: own[-1].weights for source, own in rounds.items()})
        yield Balance(last, rounds, mean_gap(wanted, rounds))


def _texts(concept: Concept) -> tuple[str, ...]:
    return tuple(variant.text for variant in concept.variants)


def _weighted(concept: Concept, weights: Sequence[float] | None) -> Concept:
    if weights is None:
        return concept
    parts = zip(concept.variants, weights, strict=True)
    return replace(concept, variants=tuple(replace(variant, part=round(weight, 4)) for variant, weight in parts))
