"""Protection that is strict: an edit confined to the null space of what must not change.

As in AlphaEdit (Fang et al., ICLR 2025) and SPEED (Li et al., 2025): with K the protected tokens as columns, the change
Δ = M - I must have Δ K = 0. Every such Δ is X Q^T, where the columns of Q are an orthonormal basis of the complement of K's
span, so the least-squares problem is solved for X over the tokens Q^T c, and nothing is lost to a projection afterwards.
"""

from __future__ import annotations

import torch

from .errors import EditError

_TOLERANCE = 1e-5


def complement(protected: torch.Tensor, tolerance: float = _TOLERANCE) -> torch.Tensor:
    """Q, an orthonormal basis of what is left of the space beside the protected tokens.

    Args:
        protected: (tokens, width).
        tolerance: a direction counts as theirs unless all of them together, relative to their size (Frobenius), reach less
            than this into it and into every weaker one.

    Returns:
        (width, rest), float64.

    Raises:
        EditError: they take up the whole space.
    """
    tokens = protected.double()
    energy, vectors = torch.linalg.eigh(tokens.T @ tokens)
    energy = energy.clamp(min=0)
    # Squaring costs half of the digits, so below 1e-14 of the whole the energies are noise; the tolerance is above that.
    free = energy.cumsum(0) < max(tolerance**2, 1e-13) * energy.sum()
    if not free.any():
        raise EditError(
            f"The strictly preserved prompts leave no room for an edit: together they use all {tokens.shape[1]} directions "
            "of the text encoder; preserve fewer of them strictly."
        )
    return vectors[:, free]
