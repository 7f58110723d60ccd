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


def _relative(context_map: ContextMap, embeddings: torch.Tensor, dim: int | None) -> torch.Tensor:
    embeddings = embeddings.to(context_map.left)
    moved = (embeddings @ context_map.right.T) @ context_map.left.T
    return torch.linalg.vector_norm(moved, dim=dim) / torch.linalg.vector_norm(embeddings, dim=dim)
