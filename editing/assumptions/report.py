"""What an edit did, in words that every host shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from ..projections import Projection
from ..wording import end_only_remark, first_named, percent
from .chance_pair import ChancePair
from .edit import Edit
from .prompt_pair import PromptPair
from .recipe import Recipe

COLLAPSE = 0.5
"""Relative change above which a warning is due: of ordinary captions, else of the keys or values.

On the pocket model unrelated prompts keep their thing in 97 % of the pictures where ordinary captions move by 0.16, in 94 % at
0.3, in 70 to 87 % at 0.6 and in 27 % at 1.2. How far the weights move says less: it was 0.8 where 97 % kept it, and where 70 %
did.
"""
UNDONE = 0.5
"""What is left of the request, as a share, above which a warning is due."""
_SHOWN = 3
_UNREAD = "the weights are packed, so how far they move is not known"


def describe(edit: Edit, projections: Iterable[Projection], change: Mapping[str, float], remarks: Iterable[str] = ()) -> str:
    """A few lines: the edits, the projections, how far the model moved, what is left of the request, and warnings.

    Args:
        edit: what was applied.
        projections: what it was applied to; empty where it was put on no model.
        change: relative change of "keys" and "values" (:func:`~.weight_change.relative_change`); empty where it cannot be read.
            They warn only of an edit that was made without a look at ordinary captions.
        remarks: more lines, such as times.
    """
    kinds = Counter(projection.kind for projection in projections)
    count, patched = kinds.total(), ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
    placed = f"{count} projection{'s' if count != 1 else ''} patched ({patched}), " if count else ""
    edits = described_edits(edit.recipe)
    names = edits[:_SHOWN]
    if len(edits) > _SHOWN:
        names.append(f"and {len(edits) - _SHOWN} more, solved together")
    elif len(edits) > 1:
        names.append("solved together")
    warnings = [end_only_remark(edit.end_only)] if edit.end_only else []
    if any(amount > COLLAPSE for amount in (change.values() if edit.ordinary_reach is None else [edit.ordinary_reach])):
        warnings.append("Warning: a large change, pictures may collapse; lower the strength or raise the regularization.")
    if edit.residual > UNDONE:
        warnings.append(
            f"Warning: {percent(edit.residual)} of the edit is left undone; lower the regularization or preserve fewer prompts."
        )
    moved = [f"{kind} changed by {percent(amount)}" for kind, amount in sorted(change.items())] or [_UNREAD] * bool(count)
    if edit.ordinary_reach is not None:
        moved.append(f"ordinary captions by {percent(edit.ordinary_reach)}")
    rank = edit.chance.right.shape[0] if edit.chance else edit.context_map.rank
    lines = [
        *names,
        *warnings,
        *_contested(edit.recipe),
        *([_drawn(edit.recipe)] if edit.chance else []),
        f"{placed}rank {rank}",
        *([", ".join(moved)] if moved else []),
        f"left undone on {edit.edited} edited tokens: {percent(edit.residual)}",
        *remarks,
    ]
    return "\n".join(lines)


def described_edits(recipe: Recipe) -> list[str]:
    """Each edit that is switched on as people are told of it, with its strength where that is not 1."""
    edits: tuple[PromptPair | ChancePair, ...] = (*recipe.always, *recipe.drawn)
    return [pair.described() + ("" if pair.strength == 1 else f" @ {pair.strength:g}") for pair in edits]


def _drawn(recipe: Recipe) -> str:
    """How pictures come to their variants."""
    how = "a batch gets the shares as nearly as it can" if recipe.spread else "by its seed, so always the same"
    negative = "" if recipe.negative else "; the negative prompt is left as it is"
    return f"every picture draws its variant, {how}; text is changed before the model reads it, weights are not{negative}"


def _contested(recipe: Recipe) -> list[str]:
    """What was asked twice in different ways, and what became of it."""
    destinations: dict[str, set[str]] = {}
    for pair in recipe.always:
        destinations.setdefault(pair.source.lower(), set()).add(pair.destination.lower())
    several = [source for source, meant in destinations.items() if len(meant) > 1]
    edited = recipe.edited
    left_out, held = ([prompt for prompt in kept if prompt.lower() in edited] for kept in (recipe.preserve, recipe.strict))
    kinds = {
        "several destinations, so it comes out between them": several,
        "edited, so it is not preserved": left_out,
        "preserved strictly, so it is not edited": held,
    }
    return [f"{kind}: {first_named(prompts)}" for kind, prompts in kinds.items() if prompts]
