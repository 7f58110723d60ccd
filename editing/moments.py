"""The second moment of ordinary captions' tokens: the directions of the embedding space that prompts use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from .captions import ordinary_captions
from .columns import check_finite, positions_of
from .encoding import Encode, EncodedPrompt

_SHRINKAGE = 0.02
_AT_ONCE = 16


def second_moment(prompts: Iterable[EncodedPrompt], positions: str = "all", shrinkage: float = _SHRINKAGE) -> torch.Tensor:
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
    total, count = torch.zeros(1, dtype=torch.float64), 0
    for prompt in prompts:
        rows = prompt.embeddings[positions_of(prompt, positions)].double()
        check_finite(rows)
        total, count = total + rows.T @ rows, count + len(rows)
    moment = total / count
    identity = torch.eye(len(moment), dtype=torch.float64) * (moment.trace() / len(moment))
    return torch.lerp(moment, identity, shrinkage)


def batches(captions: Sequence[str]) -> list[Sequence[str]]:
    """The captions in the parts in which :func:`caption_moment` encodes them."""
    return [captions[start : start + _AT_ONCE] for start in range(0, len(captions), _AT_ONCE)]


def caption_moment(encode: Encode, captions: Sequence[str] | None = None, positions: str = "all") -> torch.Tensor:
    """S of a text encoder, (width, width) in float64.

    Args:
        encode: the text encoder; called with a few captions at a time.
        captions: what is ordinary to it; None means :func:`~.captions.ordinary_captions`.
        positions: see :func:`second_moment`.
    """
    texts = ordinary_captions() if captions is None else captions
    return second_moment((prompt for batch in batches(texts) for prompt in encode(batch)), positions)
