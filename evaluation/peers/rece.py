"""Our reading of RECE: what evokes an edited concept still is found in closed form, edited as well, and so on.

Gong et al., "Reliable and Efficient Concept Erasure of Text-to-Image Diffusion Models" (ECCV 2024). After an edit by UCE, the
embedding c' that comes closest to evoking the concept c as the original projections W read it minimises, over all projections,

    sum ||W' c' - W c||² + lambda ||c'||²        so that        c' = (lambda I + sum W'^T W')^-1 (sum W'^T W) c

c' is then edited like the concept was, beginning from the weights W' as they are, and all is repeated. As every edit of this
kind is W' = W M, with G = sum W^T W it is c' = (lambda I + M^T G M)^-1 M^T G c.

What differs from the paper: it erases, so its target is an empty or harmless text; here the target is the edit's destination.
The paper's code takes all positions of a text; here the last word's alone takes part, as in the UCE of these tables, and what
is preserved is what that UCE preserves. lambda is the one that the paper's code has for objects. Its five passes are for
erasing; the one here is chosen on the validation half, where each pass costs an edit more than it brings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ...editing.assumptions.closed_form import solve
from ...editing.assumptions.context_map import ContextMap
from ...editing.assumptions.token_columns import Columns
from ..suite_methods import UCE_REGULARIZATION, Pair, Seen, last_words, uce
from .text_gram import text_gram


def evoking(context_map: ContextMap, gram: torch.Tensor, tokens: torch.Tensor, ridge: float) -> torch.Tensor:
    """c' for every token.

    Args:
        context_map: M.
        gram: G, (width, width), float64.
        tokens: c, (tokens, width).
        ridge: lambda.

    Returns:
        (tokens, width), float64.
    """
    dense = context_map.to(dtype=torch.float64).dense()
    system = dense.T @ gram @ dense
    system.diagonal().add_(ridge)
    nearest: torch.Tensor = torch.linalg.solve(system, dense.T @ gram @ tokens.double().T).T
    return nearest


@dataclass(frozen=True)
class Rece:
    """RECE's passes on top of UCE.

    Args:
        passes: how often what evokes the source still is edited as well.
        ridge: lambda of what evokes it; large keeps it short.
    """

    passes: int = 1
    ridge: float = 1e-3

    def __call__(self, seen: Seen, edits: Sequence[Pair]) -> ContextMap:
        """The map."""
        edited, kept = last_words(seen, edits)
        gram, context_map = text_gram(seen, edited.width), uce(seen, edits)
        for _ in range(self.passes):
            nearest = evoking(context_map, gram, edited.source, self.ridge)
            columns = Columns.joined([replace(edited, source=nearest.to(edited.source)), kept])
            context_map = context_map.compose(solve(columns, UCE_REGULARIZATION, scaled=False).context_map)
        return context_map
