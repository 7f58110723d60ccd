"""Debiased concepts in the shares that are wanted: how much each variant weighs is tuned by pictures, for all of them at once.

EMCID's release tunes one concept after the other, each written alone, and writes all of them when it is done. Here each round
writes all concepts together, since together they change each other; the weights follow
:func:`..shares.next_weights`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..errors import EditError
from ..shares import Round, Wanted, counts_of, mean_gap, none_shown, tune_together
from .concept_edit import ConceptEdit
from .concept_lines import Concept
from .concept_recipe import ConceptRecipe

TOLERANCE = 0.05
"""The gap at which to stop where none is given: one picture of twenty."""

CountShown = Callable[[ConceptRecipe, int], Mapping[str, Sequence[int]]]
"""A recipe and a round's number to, for each debiased source, how many pictures showed each of its variants."""


@dataclass(frozen=True)
class Question:
    """What a round draws of a debiased concept, and asks the judge about it.

    Args:
        sentence: names the source.
        variants: the same sentence with each variant in its place.
    """

    sentence: str
    variants: tuple[str, ...]


Look = Callable[[ConceptEdit, Mapping[str, Question], int], Mapping[str, Sequence[int | None]]]
"""An edit, source to what is asked of it, and a round's number, to, for each source, the judge's answers: which variant each
picture showed, by its number, or None."""


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


def wanted_shares(recipe: ConceptRecipe) -> dict[str, Wanted]:
    """Source to the shares that its line asks for.

    Raises:
        EditError: no concept is debiased, or a share is not above 0, so that pictures could not have it.
    """
    debiased = [one for one in recipe.concepts if one.variants]
    if not debiased:
        raise EditError(
            "No line is debiased, so there is nothing to balance; write variants with “|” between, such as: doctor -> female "
            "doctor | male doctor"
        )
    for one in debiased:
        if min(one.shares) <= 0:
            raise EditError(f"A part of “{one.source}” is not above 0; give shares above 0, or leave balancing out.")
    return {one.source: Wanted(one.source, tuple(own.text for own in one.variants), one.shares) for one in debiased}


def questions(recipe: ConceptRecipe) -> dict[str, Question]:
    """Source to what is asked of it, in the recipe's first sentence."""
    asked = {}
    for one in recipe.concepts:
        pairs = [meaning.sentences(recipe.templates[:1])[0] for meaning in one.meanings]
        if one.variants:
            asked[one.source] = Question(pairs[0][0], tuple(variant for _, variant in pairs))
    return asked


def balance(recipe: ConceptRecipe, count_shown: CountShown, budget: int, tolerance: float = 0.0) -> Iterator[Balance]:
    """Round after round, until all shares are right or the budget is spent; what is wanted are the shares of ``recipe``.

    Args:
        recipe: at least one of its concepts is debiased.
        count_shown: writes, draws and judges.
        budget: rounds.
        tolerance: the gap at which to stop.

    Raises:
        EditError: as :func:`wanted_shares`, or the first round shows no variant of a concept.
    """
    wanted = wanted_shares(recipe)

    def counted(weights: Mapping[str, Sequence[float]], number: int) -> Mapping[str, Sequence[int]]:
        counts = count_shown(tried(weights), number)
        for source, own in counts.items():
            if number == 0 and not sum(own):
                raise none_shown(source)
        return counts

    def tried(weights: Mapping[str, Sequence[float]]) -> ConceptRecipe:
        return replace(recipe, concepts=tuple(_weighted(one, weights.get(one.source)) for one in recipe.concepts))

    for rounds in tune_together(wanted, counted, tolerance, budget):
        last = tried({source: own[-1].weights for source, own in rounds.items()})
        yield Balance(last, rounds, mean_gap(wanted, rounds))


def balanced_edit(
    recipe: ConceptRecipe,
    write: Callable[[ConceptRecipe], ConceptEdit],
    look: Look,
    budget: int,
    tolerance: float = TOLERANCE,
    advance: Callable[[], object] = lambda: None,
) -> tuple[ConceptEdit, Balance]:
    """The edit of the last round, whose shares were seen, and that round.

    Args:
        recipe, budget, tolerance: as for :func:`balance`.
        write: stage two.
        look: puts an edit on, draws, and asks a judge.
        advance: told after each round; may raise to stop.

    Raises:
        EditError: as :func:`balance`, or there is no round.
    """
    if budget < 1:
        raise EditError("Balancing needs a round or more; give a number above 0.")
    asked, edits = questions(recipe), list[ConceptEdit]()

    def count_shown(tried: ConceptRecipe, number: int) -> dict[str, tuple[int, ...]]:
        edits[:] = [write(tried)]
        seen = look(edits[0], asked, number)
        advance()
        return {source: counts_of(answers, len(asked[source].variants)) for source, answers in seen.items()}

    *_, last = balance(recipe, count_shown, budget, tolerance)
    return edits[0], last


def _weighted(concept: Concept, weights: Sequence[float] | None) -> Concept:
    if weights is None:
        return concept
    parts = zip(concept.variants, weights, strict=True)
    return replace(concept, variants=tuple(replace(variant, part=round(weight, 4)) for variant, weight in parts))
