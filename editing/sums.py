"""What a large problem is solved from: sums over all columns, taken a few thousand tokens at a time.

Neither the time nor the memory for it depends on more than the number of tokens and the width: no column is copied as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from .columns import Columns, blocks

_ROWS_AT_ONCE = 4096
_BANDS = 4


@dataclass(frozen=True)
class Sums:
    """Over all columns, with e = s (c* - c) the shift that is asked of a token c of weight w. All in float64.

    Args:
        edited: sum w c c^T over the tokens that are to change, (width, width).
        kept: the same over the others.
        cross: sum w c e^T, (width, width).
        asked: sum w e², coordinate by coordinate, (width,).
        changes: (tokens,), which are to change.
    """

    edited: torch.Tensor
    kept: torch.Tensor
    cross: torch.Tensor
    asked: torch.Tensor
    changes: torch.Tensor

    @classmethod
    def of(cls, parts: Sequence[Columns], exact: bool) -> Sums:
        """Of the columns.

        Args:
            parts: the columns, on one device; the sums are taken there.
            exact: every product in float64. Else ``cross``, which enters a solution linearly, is made from products in
                float32 around the tokens' mean, which is added back in float64: nearly equal tokens then lose nothing, and
                the rounding stays that of the tokens' own differences.
        """
        width, device = parts[0].width, parts[0].source.device
        square = {"size": (width, width), "dtype": torch.float64, "device": device}
        edited, kept, cross = torch.zeros(**square), torch.zeros(**square), torch.zeros(**square)
        asked, shifted = (torch.zeros(width, dtype=torch.float64, device=device) for _ in range(2))
        exact = exact or any(part.source.dtype == torch.float64 for part in parts)
        dtype = torch.float64 if exact else torch.float32
        changes, mean = [], None
        for block in blocks(parts, _ROWS_AT_ONCE):
            tokens, shift, weight = block.source.to(dtype), block.shift(dtype), block.weight[:, None]
            rows = shift.abs().amax(dim=1) != 0
            changes.append(rows)
            if not rows.all():
                _add_square(kept, tokens[~rows].double(), weight[~rows])
                tokens, shift, weight = tokens[rows], shift[rows], weight[rows]
            if not len(tokens):
                continue
            _add_square(edited, tokens.double(), weight)
            weighed = shift if (weight == 1).all() else shift * weight.to(dtype)
            asked += (shift * weighed).sum(dim=0)
            if exact:
                cross.addmm_(tokens.T, weighed)
                continue
            mean = tokens.mean(dim=0) if mean is None else mean
            shifted += weighed.sum(dim=0, dtype=torch.float64)
            cross += (tokens - mean).T @ weighed
        if mean is not None:
            cross += torch.outer(mean.double(), shifted)
        for matrix in (edited, kept):
            _mirror(matrix)
        return cls(edited, kept, cross, asked, torch.cat(changes))


def _add_square(total: torch.Tensor, rows: torch.Tensor, weight: torch.Tensor) -> None:
    """Add sum w c c^T to the upper bands of ``total``; the rest is its mirror image and is left to :func:`_mirror`."""
    rows = rows if (weight == 1).all() else rows * weight.sqrt()
    for start, stop in _bands(len(total)):
        total[start:stop, start:].addmm_(rows[:, start:stop].T, rows[:, start:])


def _mirror(total: torch.Tensor) -> None:
    for start, stop in _bands(len(total)):
        total[stop:, start:stop] = total[start:stop, stop:].T


def _bands(width: int) -> list[tuple[int, int]]:
    edges = [round(width * number / _BANDS) for number in range(_BANDS + 1)]
    return list(pairwise(edges))
