"""Erasing more thoroughly: what still evokes an edited concept is found and edited, too.

RECE (Gong et al., ECCV 2024): after an edit, the embedding c' that comes closest to evoking the concept c as before minimises
||W M c' - W c||² + mu ||c'||² summed over all projections W. It is taken here in the space of the text embeddings itself,
with the identity in the place of sum W^T W, so that an edit still needs no weights:

    c' = (M^T M + mu I)^-1 M^T c

Where the coordinates' own sizes are known, distances are measured by them.

Each c' becomes one more column with c's target, and all is solved again.
"""

from __future__ import annotations

import torch

from .context_map import ContextMap
from .token_columns import Columns

_RIDGE = 0.1


def evoking(
    context_map: ContextMap, tokens: torch.Tensor, ridge: float = _RIDGE, unit: torch.Tensor | None = None
) -> torch.Tensor:
    """What comes closest to evoking the tokens through an edit.

    Args:
        context_map: M, (width, width).
        tokens: c, (tokens, width).
        ridge: mu.
        unit: (width,), the size of each coordinate, by which distances are measured; None measures all alike.

    Returns:
        c', (tokens, width), float64.
    """
    unit = torch.ones(context_map.width, dtype=torch.float64) if unit is None else unit.double()
    left, right = context_map.left.double() / unit[:, None], context_map.right.double() * unit
    dense = torch.eye(context_map.width, dtype=torch.float64) + left @ right
    system = dense.T @ dense
    system.diagonal().add_(ridge)
    columns: torch.Tensor = torch.linalg.solve(system, dense.T @ (tokens.to(unit) / unit).T).T * unit
    return columns


def evoking_columns(context_map: ContextMap, columns: Columns, unit: torch.Tensor | None = None) -> Columns:
    """For every edited token what evokes it still, to become what the token itself should. ``unit`` as in :func:`evoking`."""
    shift = columns.shift()
    edited = shift.abs().amax(dim=1) != 0
    sources = columns.source[edited].double()
    nearest = evoking(context_map, sources, unit=unit).to(sources)
    return Columns(nearest, sources + shift[edited], torch.ones_like(columns.strength[edited]), columns.weight[edited])
