"""The second moment of ordinary prompts' tokens: the directions of the embedding space that prompts use."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from .columns import check_finite, positions_of
from .encoding import EncodedPrompt

_SHRINKAGE = 0.02


def second_moment(prompts: Iterable[EncodedPrompt], positions: str = "words", shrinkage: float = _SHRINKAGE) -> torch.Tensor:
    """S, the mean of c c^T over the tokens of all prompts, drawn a little towards the identity so that it has an inverse.

    Args:
        prompts: ordinary captions, encoded.
        positions: which of their tokens count (:func:`~.columns.positions_of`).
        shrinkage: how far it is drawn, from 0 to 1.

    Returns:
        (width, width), float64.

    Raises:
        EditError: an embedding is not finite.
    """
    rows = torch.cat([prompt.embeddings[positions_of(prompt, positions)].double() for prompt in prompts])
    check_finite(rows)
    moment = rows.T @ rows / len(rows)
    identity = torch.eye(len(moment), dtype=torch.float64) * (moment.trace() / len(moment))
    return torch.lerp(moment, identity, shrinkage)
