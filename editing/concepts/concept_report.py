"""What a concept edit did, in words that every host shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from ..shares import Round, Wanted
from ..wording import percent
from .balance import TOLERANCE, Balance, wanted_shares
from .concept_edit import ConceptEdit
from .concept_recipe import ConceptRecipe
from .statistics import Statistics

_SHOWN = 3
_DECIDES = {"attention": "the model reads", "text": "the text says", "full": "the model predicts"}


def describe_concepts(edit: ConceptEdit, remarks: Iterable[str] = ()) -> str:
    """A few lines: the concepts, the layers, what is left undone.

    Args:
        edit: what was applied.
        remarks: more lines, such as times.
    """
    names = _some([concept.described() for concept in edit.recipe.concepts])
    layers = [f"{encoder} layers {', '.join(map(str, changed))}" for encoder, changed in edit.changes.items()]
    return "\n".join(
        [
            *names,
            f"{'; '.join(layers)}, rank {edit.rank}",
            *_left(edit),
            *remarks,
        ]
    )


def _left(edit: ConceptEdit) -> list[str]:
    """What is left undone; of concepts by the user's pictures, which are on a scale of their own, how much nearer they came."""
    told, near, done = {}, {}, []
    for concept, left in zip(edit.recipe.concepts, edit.left, strict=True):
        if left is None:
            done.append(concept.source)
        elif concept.pictures:
            near[concept.source] = 1 - left
        else:
            told[concept.source] = left
    lines = []
    if told:
        mean, (most, worst) = percent(fmean(told.values())), max(told.items(), key=lambda item: item[1])
        line = f"left undone of what {_DECIDES[edit.recipe.mode]}: {mean}"
        lines.append(line if percent(worst) == mean else f"{line}, at most {percent(worst)} (“{most}”)")
    if near:
        each = [f"{source} {percent(share)}" for source, share in near.items()]
        lines.append(f"nearer to your pictures, relative to what the text tells: {', '.join(_some(each))}")
    lines += [
        f"Warning: “{source}” came no nearer to your pictures; give more, or write before [pictures] what they show."
        for source, share in near.items()
        if share <= 0
    ]
    return [*lines, *(f"nothing to do: “{source}” reads as its destination already" for source in done)]


def _some(names: Sequence[str]) -> list[str]:
    """The first of them, and how many more there are."""
    return [*names[:_SHOWN], *([f"and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else [])]


def shares_remarks(recipe: ConceptRecipe, last: Balance | None = None) -> list[str]:
    """What is known of the shares of a recipe's debiased concepts in pictures.

    Args:
        recipe: what was asked.
        last: the round that the edit is of; None where nobody looked.
    """
    if last is None:
        debiased = any(concept.variants for concept in recipe.concepts)
        return ["Shares were not measured: each variant weighs as much as its part; balance them with a judge."] * debiased
    count = max(map(len, last.rounds.values()))
    title = f"balanced in {count} round{'s' if count != 1 else ''}; what pictures showed with these weights:"
    shares = [_shares(wanted, last.rounds[source][-1]) for source, wanted in wanted_shares(recipe).items()]
    far = f"still {100 * last.gap:.0f} points off; more rounds, or more pictures in a round, bring it nearer"
    return [title, *shares, *([far] if last.gap > TOLERANCE else [])]


def _shares(wanted: Wanted, shown: Round) -> str:
    pictures = sum(shown.counts)
    if not pictures:
        return f"Warning: {wanted.subject}: the judge saw none of its variants in the last round."
    each = zip(wanted.variants, shown.shares, wanted.shares, strict=True)
    shares = "; ".join(f"{variant} {percent(share)}, wanted {percent(asked)}" for variant, share, asked in each)
    return f"{wanted.subject} ({pictures} pictures): {shares}"


def statistics_remarks(statistics: Mapping[str, Statistics]) -> list[str]:
    """A warning for each encoder whose statistics are of too little text to hold all that it knows in place."""
    return [
        f"Warning: {name} was read in {entry.distinct} different places, fewer than the {len(next(iter(entry.sums.values())))} "
        "numbers of a key, so little is held in place; give more captions."
        for name, entry in statistics.items()
        if entry.thin
    ]
