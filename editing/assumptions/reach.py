"""How much any prompt will be changed, from its embeddings alone, without generating a picture."""

from __future__ import annotations

import torch

from ..encoding import EncodedPrompt
from .context_map import ContextMap
from .space import Moment
from .wide_moment import WideMoment


def reach(context_map: ContextMap, prompt: EncodedPrompt, unit: torch.Tensor | None = None) -> float:
    """||M c - c|| / ||c|| (Frobenius) over the prompt's words, or over all of its tokens where it has no words.

    Args:
        context_map: M.
        prompt: whose tokens c are.
        unit: (width,), the size of each coordinate, by which lengths are measured, so that a few huge ones do not decide alone
            (:attr:`~.edit.EncoderIdentity.unit`); None measures all alike.
    """
    rows = prompt.words or list(range(len(prompt.tokens)))
    return float(_relative(context_map, prompt.embeddings[rows], None, unit))


def token_reach(context_map: ContextMap, prompt: EncodedPrompt, unit: torch.Tensor | None = None) -> torch.Tensor:
    """The same for every token by itself: (tokens,)."""
    return _relative(context_map, prompt.embeddings, 1, unit)


def ordinary_reach(context_map: ContextMap, moment: Moment) -> float:
    """||(M - I) C|| / ||C|| (Frobenius), C being the tokens of all ordinary captions, each coordinate in its own units.

    Args:
        context_map: M.
        moment: S, (width, width) (:func:`~.moments.second_moment`).
    """
    left, right = context_map.left.double(), context_map.right.double()
    if isinstance(moment, WideMoment):
        between = moment.between(right)
    else:
        moment = moment.to("cpu", torch.float64)
        between = right @ moment @ right.T
    diagonal = moment.diagonal()
    used = diagonal > 0
    moved = ((left @ between) * left).sum(dim=1).clamp(min=0)
    return float((moved[used] / diagonal[used]).mean().sqrt())


def _relative(context_map: ContextMap, embeddings: torch.Tensor, dim: int | None, unit: torch.Tensor | None) -> torch.Tensor:
    embeddings = embeddings.to(context_map.left)
    moved = (embeddings @ context_map.right.T) @ context_map.left.T
    if unit is not None:
        moved, embeddings = moved / unit.to(moved), embeddings / unit.to(moved)
    relative: torch.Tensor = torch.linalg.vector_norm(moved, dim=dim) / torch.linalg.vector_norm(embeddings, dim=dim)
    return relative
