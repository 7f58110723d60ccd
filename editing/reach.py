"""How much any prompt will be changed, from its embeddings alone, without generating a picture."""

from __future__ import annotations

import torch

from .context_map import ContextMap
from .encoding import EncodedPrompt


def reach(context_map: ContextMap, prompt: EncodedPrompt) -> float:
    """||M c - c|| / ||c|| (Frobenius) over the prompt's words, or over all of its tokens where it has no words."""
    rows = prompt.words or list(range(len(prompt.tokens)))
    return float(_relative(context_map, prompt.embeddings[rows], dim=None))


def token_reach(context_map: ContextMap, prompt: EncodedPrompt) -> torch.Tensor:
    """The same for every token by itself: (tokens,)."""
    return _relative(context_map, prompt.embeddings, dim=1)


def ordinary_reach(context_map: ContextMap, moment: torch.Tensor) -> float:
    """||(M - I) C|| / ||C|| (Frobenius), C being the tokens of all ordinary captions, from their second moment.

    Args:
        context_map: M.
        moment: S, (width, width) (:func:`~.moments.second_moment`).
    """
    left, right, moment = context_map.left.double(), context_map.right.double(), moment.double()
    squared = ((left.T @ left) * (right @ moment @ right.T)).sum().clamp(min=0)
    return float((squared / moment.trace()).sqrt())


def _relative(context_map: ContextMap, embeddings: torch.Tensor, dim: int | None) -> torch.Tensor:
    embeddings = embeddings.to(context_map.left)
    moved = (embeddings @ context_map.right.T) @ context_map.left.T
    return torch.linalg.vector_norm(moved, dim=dim) / torch.linalg.vector_norm(embeddings, dim=dim)
