"""How much of a map can be seen: the directions of the embedding space that an edit has to move.

The objective that a solution Δ minimises grows by tr((Δ - Δ') H (Δ - Δ')^T) where Δ' takes its place, H being the second
moment of all that is edited and held. Of all Δ' of a rank the one that costs least is U U^T Δ, with U the leading eigenvectors
of Δ H Δ^T.
"""

from __future__ import annotations

import math

import torch

_SMALL = 256
"""Width up to which all eigenvectors are had at once."""
_FIRST = 32
_ITERATIONS = 3


def principal(left: torch.Tensor, right: torch.Tensor, tolerance: float) -> torch.Tensor | None:
    """The fewest leading eigenvectors of left^T right without which less than ``tolerance``² of its trace is lost.

    Args:
        left, right: (any, width), float64, whose product is symmetric and positive semidefinite.
        tolerance: relative, of the root of the trace.

    Returns:
        (width, rank) with orthonormal columns; None where that would take more than a quarter of a large width, or more than
        half as many as there are rows.
    """
    width, total = left.shape[1], (left * right).sum()
    if width <= _SMALL:
        energy, vectors = torch.linalg.eigh(left.T @ right)
        return _leading(energy, vectors, total, tolerance)
    # Subspace iteration from a random start; what it leaves out is known exactly, from the trace.
    chance = torch.Generator().manual_seed(0)
    most = min(width // 4, len(left) // 2)
    count = min(_FIRST, most)
    while count:
        basis = torch.randn(width, count, generator=chance, dtype=torch.float64, device=chance.device).to(left.device)
        for _ in range(_ITERATIONS):
            basis = torch.linalg.qr(left.T @ (right @ basis)).Q
        energy, vectors = torch.linalg.eigh((left @ basis).T @ (right @ basis))
        leading = _leading(energy, basis @ vectors, total, tolerance)
        if leading is not None:
            return leading
        # As many more as it takes if the energies go on falling as they did, and some to spare.
        lost = min(float(1 - energy.sum() / total), 0.999)
        wanted = math.ceil(1.25 * count * max(1.0, 2 * math.log(tolerance) / math.log(max(lost, tolerance**2))))
        count = wanted if wanted <= most else 0
    return None


def _leading(energy: torch.Tensor, vectors: torch.Tensor, total: torch.Tensor, tolerance: float) -> torch.Tensor | None:
    """Of eigenvectors by rising energy the fewest that are enough; None if all are not."""
    lost = total - energy.flip(0).cumsum(0)
    enough = (lost <= tolerance**2 * total).nonzero()
    if not len(enough):
        return vectors.flip(1) if len(vectors) == vectors.shape[1] else None
    return vectors.flip(1)[:, : int(enough[0]) + 1]
