"""The second moment of ordinary captions' tokens: the directions of the embedding space that prompts use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from .captions import ordinary_captions
from .columns import check_finite, positions_of
from .encoding import Encode, EncodedPrompt

_SHRINKAGE = 0.02
_AT_ONCE = 16


def second_moment(prompts: Iterable[EncodedPrompt], positions: str = "all") -> torch.Tensor:
    """S, the mean of c c^T over the tokens of all prompts.

    The start token is left out. It is the same in every prompt, so that no edit asks for another, and the edit's own sentences
    hold it; in some encoders it is many times longer than all other tokens, and would outweigh them.

    Args:
        prompts: ordinary captions, encoded.
        positions: which of their tokens count (:func:`~.columns.positions_of`).

    Returns:
        (width, width), float64.

    Raises:
        EditError: an embedding is not finite.
    """
    total, count = torch.zeros(1, dtype=torch.float64), 0
    for prompt in prompts:
        starts = {place for chunk in prompt.chunks for place in range(chunk.start, chunk.words.start)}
        places = [place for place in positions_of(prompt, positions) if place not in starts]
        rows = prompt.embeddings[places].double()
        check_finite(rows)
        total, count = total.to(rows.device) + rows.T @ rows, count + len(rows)
    return total / count


def shrunk(moment: torch.Tensor, shrinkage: float = _SHRINKAGE) -> torch.Tensor:
    """S, drawn a little towards its own diagonal, so that directions that no caption uses are held a little, too.

    Towards the diagonal rather than the identity, because text encoders have a few huge coordinates, which would decide alone
    how far S is drawn in all others. An encoder whose coordinates are written in other units gets the same edit. Where they are
    mixed, the map differs in directions that hardly any token has: on the bundled model, turned by an orthogonal matrix,
    unrelated prompts move by 0.041 in place of 0.040, and by 0.046 behind a matrix of condition 1e4.

    Args:
        moment: S, (width, width).
        shrinkage: how far it is drawn, from 0 to 1.
    """
    diagonal = moment.diagonal()
    # A coordinate that no token uses, as behind an encoder narrower than the model reads, still needs an inverse.
    diagonal = torch.where(diagonal > 0, diagonal, diagonal.mean())
    return torch.lerp(moment, torch.diag(diagonal), shrinkage)


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
