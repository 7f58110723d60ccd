"""What an edit did, in words that every host shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from .change import COLLAPSE
from .edit import Edit
from .projections import Projection

_UNREAD = "the weights are packed, so how far they move is not known"


def describe(edit: Edit, projections: Iterable[Projection], change: Mapping[str, float], remarks: Iterable[str] = ()) -> str:
    """A few lines: the edits, the projections, how far the model moved, what is left of the request, and warnings.

    Args:
        edit: what was applied.
        projections: what it was applied to.
        change: relative change of "keys" and "values" (:func:`~.change.relative_change`); empty where it cannot be read.
        remarks: more lines, such as times.
    """
    kinds = Counter(projection.kind for projection in projections)
    count, patched = kinds.total(), ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
    pairs = edit.recipe.active
    names = [f"{pair.source} → {pair.destination or '(forgotten)'}" for pair in pairs[:3]]
    if len(pairs) > 3:
        names.append(f"and {len(pairs) - 3} more, solved together")
    elif len(pairs) > 1:
        names.append("solved together")
    warnings = []
    if any(amount > COLLAPSE for amount in change.values()):
        warnings.append("Warning: a large change, pictures may collapse; lower the strength or raise the regularization.")
    lines = [
        *names,
        *warnings,
        f"{count} projection{'s' if count != 1 else ''} patched ({patched}), rank {edit.context_map.rank}",
        ", ".join(f"{kind} changed by {percent(amount)}" for kind, amount in sorted(change.items())) or _UNREAD,
        f"left undone on {edit.edited} edited tokens: {percent(edit.residual)}",
        *remarks,
    ]
    return "\n".join(lines)


def percent(amount: float) -> str:
    """A share in percent with two significant digits: 0.1234 is "12 %"."""
    return f"{100 * amount:.2g} %" if amount < 0.995 else f"{100 * amount:.0f} %"
