"""Erasing more thoroughly: what still evokes an edited concept is found and edited, too.

RECE (Gong et al., ECCV 2024): after an edit, the embedding c' that comes closest to evoking the concept c as before minimises
||W M c' - W c||² + mu ||c'||² summed over all projections W. It is taken here in the space of the text embeddings itself,
with the identity in the place of sum W^T W, so that an edit still needs no weights:

    c' = (M^T M + mu I)^-1 M^T c

Each c' becomes one more column with c's target, and all is solved again.
"""

from __future__ import annotations

import torch

from .columns import Columns
from .context_map import ContextMap

_RIDGE = 0.1


def evoking(context_map: ContextMap, tokens: torch.Tensor, ridge: float = _RIDGE) -> torch.Tensor:
    """What comes closest to evoking the tokens through an edit.

    Args:
        context_map: M, (width, width).
        tokens: c, (tokens, width).
        ridge: mu.

    Returns:
        c', (tokens, width), float64.
    """
    dense = context_map.dense().double()
    system = dense.T @ dense
    system.diagonal().add_(ridge)
    return torch.linalg.solve(system, dense.T @ tokens.double().T).T


def evoking_columns(context_map: ContextMap, columns: Columns) -> Columns:
    """For every edited token what evokes it still, to become what the token itself should."""
    shift = columns.shift()
    edited = shift.abs().amax(dim=1) > 0
    sources = columns.source[edited].double()
    found = evoking(context_map, sources)
    ones = torch.ones(len(found), dtype=torch.float64)
    return Columns(found, sources + shift[edited], ones, columns.weight[edited])
