"""By which way an edit behind a norm comes nearer to what was asked: by the weights, W M, or on the text, whose length the norm
makes up again.

Told from text alone: what the layer reads of the edit in sentences that were not solved, beside what it would read of the
destination's, and how far ordinary captions move.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ..encoding import Encode
from ..ordinary_captions import ordinary_captions
from ..wording import percent
from .behind_norm import unit_rows
from .edit import Edit
from .rows_read import RowsRead
from .token_columns import Columns, pair_parts

_SENTENCES = ("there is {}", "{} in the snow", "a drawing of {}")
_PAIRS = 4
_CAPTIONS = 16


@dataclass(frozen=True)
class Way:
    """How an edit does by one way.

    Args:
        left: what is left between such sentences and the destination's, relative to what was asked (Frobenius).
        moved: how far captions move, relative (Frobenius).
    """

    left: float
    moved: float

    @property
    def away(self) -> float:
        """Both as one number: the lower, the better."""
        return math.hypot(self.left, self.moved)


@dataclass(frozen=True)
class NormWays:
    """Both ways."""

    text: Way
    weights: Way

    @property
    def text_is_better(self) -> bool:
        """Whether the edit belongs on the text."""
        return self.text.away < self.weights.away

    def remark(self) -> str:
        """What was found, for people."""
        ways = {"text": self.text, "weights": self.weights}
        better, other = ("text", "weights") if self.text_is_better else ("weights", "text")
        return (
            f"{better} chosen: related prompts come within {percent(ways[better].left)} of the destination "
            f"({percent(ways[other].left)} by {other}), captions move by {percent(ways[better].moved)} "
            f"({percent(ways[other].moved)})"
        )


def compare_ways(edit: Edit, encode: Encode, captions: Sequence[str] | None = None) -> NormWays:
    """Try both.

    Args:
        edit: solved behind a norm, drawing nothing.
        encode: the text encoder, as it is.
        captions: that ought to stay; None are a few of :func:`~..ordinary_captions.ordinary_captions`.
    """
    pairs = [replace(pair, augmentations=_SENTENCES) for pair in edit.recipe.active[:_PAIRS]]
    texts = list(dict.fromkeys(text for pair in pairs for sentence in pair.sentences() for text in sentence))
    read = RowsRead(edit.norms).encode(encode)
    encoded = dict(zip(texts, read(texts), strict=True))
    columns = Columns.joined([part for pair in pairs for part in pair_parts(pair, encoded)])
    source, target = columns.source, columns.source + columns.shift().float()
    captions = ordinary_captions()[:_CAPTIONS] if captions is None else captions
    kept = torch.cat([prompt.embeddings for prompt in read(captions)])

    def way(by_text: bool) -> Way:
        def seen(rows: torch.Tensor) -> torch.Tensor:
            mapped = edit.context_map.apply(rows)
            return unit_rows(mapped, edit.norms) if by_text else mapped

        return Way(_relative(seen(source) - target, source - target), _relative(seen(kept) - kept, kept))

    return NormWays(way(True), way(False))


def _relative(part: torch.Tensor, whole: torch.Tensor) -> float:
    return float(torch.linalg.vector_norm(part) / torch.linalg.vector_norm(whole).clamp(min=1e-30))
