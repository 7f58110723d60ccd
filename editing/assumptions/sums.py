"""What a large problem is solved from: sums over all columns, taken a few thousand tokens at a time.

Neither the time nor the memory for it depends on more than the number of tokens and the width: no column is copied as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from .context_map import ContextMap
from .token_columns import Columns, blocks

_ROWS_AT_ONCE = 4096
"""Tokens that are in float64 at once, so that many pairs take little more memory than few."""
_BANDS = 4
"""A symmetric sum is multiplied from its diagonal on, band by band: with four, five eighths of the work."""


@dataclass(frozen=True)
class Sums:
    """Over all columns, with e = s (c* - c) the shift that is asked of a token c of weight w. All in float64.

    Args:
        whole: sum w c c^T, (width, width).
        edited: the same over the tokens that are to change.
        cross: sum w c e^T, (width, width).
        asked: sum w e², coordinate by coordinate, (width,).
        changes: (tokens,), which are to change.
    """

    whole: torch.Tensor
    edited: torch.Tensor
    cross: torch.Tensor
    asked: torch.Tensor
    changes: torch.Tensor

    @classmethod
    def of(cls, parts: Sequence[Columns]) -> Sums:
        """Of the columns, which are on one device; the sums are taken there."""
        width, device = parts[0].width, parts[0].source.device
        whole, kept, cross = torch.zeros(3, width, width, dtype=torch.float64, device=device)
        asked = torch.zeros(width, dtype=torch.float64, device=device)
        changes = []
        for block in blocks(parts, _ROWS_AT_ONCE):
            tokens, shift, root = block.source.double(), block.shift(), block.weight.sqrt()[:, None]
            rows = shift.abs().amax(dim=1) != 0
            changes.append(rows)
            _add_square(whole, tokens, root)
            if not rows.all():
                _add_square(kept, tokens[~rows], root[~rows])
            asked += (shift * root).square().sum(dim=0)
            _add_cross(cross, block, tokens, shift)
        for matrix in (whole, kept):
            _mirror(matrix)
        return cls(whole, whole - kept, cross, asked, torch.cat(changes))


def cross_of(parts: Sequence[Columns]) -> torch.Tensor:
    """The sum w c e^T alone, (width, width), float64."""
    width, device = parts[0].width, parts[0].source.device
    cross = torch.zeros(width, width, dtype=torch.float64, device=device)
    for block in blocks(parts, _ROWS_AT_ONCE):
        _add_cross(cross, block, block.source.double(), block.shift())
    return cross


def along_of(
    parts: Sequence[Columns],
    owner: torch.Tensor,
    owners: int,
    counts: torch.Tensor,
    context_map: ContextMap,
    unit: torch.Tensor,
) -> tuple[list[float], list[float]]:
    """How far tokens go along what was asked of them, and what was asked, both squared, for each owner of tokens.

    Args:
        parts: all columns.
        owner: (tokens,), the number of each one's owner, below ``owners``.
        counts: (tokens,), which count.
        context_map: how they go.
        unit: the size of each coordinate, (width,).
    """
    left, right = context_map.left.double() / unit[:, None], context_map.right.double()
    whole = 2 * context_map.rank > context_map.width  # then one product by M - I is cheaper than two by its factors
    right = left @ right if whole else right
    along, asked = torch.zeros(2, owners, dtype=torch.float64, device=owner.device)
    start = 0
    for block in blocks(parts, _ROWS_AT_ONCE):
        rows = slice(start, start + len(block))
        shift, weight = block.shift() / unit, block.weight * counts[rows]
        moved = block.source.double() @ right.T
        along.index_add_(0, owner[rows], torch.linalg.vecdot(moved, shift if whole else shift @ left) * weight)
        asked.index_add_(0, owner[rows], torch.linalg.vecdot(shift, shift) * weight)
        start += len(block)
    return along.tolist(), asked.tolist()


def _add_cross(total: torch.Tensor, block: Columns, tokens: torch.Tensor, shift: torch.Tensor) -> None:
    total.addmm_(tokens.T, shift * block.weight[:, None])


def _add_square(total: torch.Tensor, rows: torch.Tensor, root: torch.Tensor) -> None:
    """Add sum w c c^T, given the roots of the weights, to the upper bands of ``total``; :func:`_mirror` fills in the rest."""
    rows = rows if (root == 1).all() else rows * root
    for start, stop in _bands(len(total)):
        total[start:stop, start:].addmm_(rows[:, start:stop].T, rows[:, start:])


def _mirror(total: torch.Tensor) -> None:
    for start, stop in _bands(len(total)):
        total[stop:, start:stop] = total[start:stop, stop:].T


def _bands(width: int) -> list[tuple[int, int]]:
    edges = [round(width * number / _BANDS) for number in range(_BANDS + 1)]
    return list(pairwise(edges))
