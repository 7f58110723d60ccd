"""How much an edit changes a model's keys and values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch

from ..projections import Projection
from .context_map import ContextMap
from .edit import Edit


def relative_change(
    context_map: ContextMap, projections: Iterable[Projection], weights: Mapping[str, torch.Tensor]
) -> dict[str, float]:
    """||W M - W|| / ||W|| (Frobenius) over all edited projections of a kind, by the columns of W that M is for.

    Args:
        context_map: the edit.
        projections: what it is applied to.
        weights: (out, width) for every ``projection.key``, or evenly sampled rows of it.

    Returns:
        "keys", "values" and so on, each only where such projections are edited.
    """
    changed: dict[str, float] = {}
    total: dict[str, float] = {}
    # R has orthogonal rows for every map that was solved or composed, so ||W L R||² needs only W L and R's Gram matrix.
    gram = context_map.right @ context_map.right.T
    for projection in projections:
        weight = weights[projection.key][:, : context_map.width].to("cpu", torch.float32)
        image = weight @ context_map.left
        size = float(((image.T @ image) * gram).sum())
        changed[projection.kind] = changed.get(projection.kind, 0.0) + size
        total[projection.kind] = total.get(projection.kind, 0.0) + float(torch.linalg.vector_norm(weight)) ** 2
    return {kind: (changed[kind] / max(total[kind], 1e-30)) ** 0.5 for kind in sorted(changed)}


def edit_change(edit: Edit, projections: Iterable[Projection], weights: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """:func:`relative_change` by an edit, whose projections may have different maps."""
    groups: dict[int, list[Projection]] = {}
    for projection in projections:
        groups.setdefault(id(edit.map_of(projection)), []).append(projection)
    changes: dict[str, float] = {}
    for group in groups.values():
        if (context_map := edit.map_of(group[0])) is not None:
            changes |= relative_change(context_map, group, weights)
    return changes
