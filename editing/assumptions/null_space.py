"""Protection that is strict: an edit confined to the null space of what must not change.

As in AlphaEdit (Fang et al., ICLR 2025) and SPEED (Li et al., 2025): with K the protected tokens as columns, the change
Δ = M - I must have Δ K = 0. Every such Δ is X Q^T, where the columns of Q are an orthonormal basis of the complement of K's
span, so the least-squares problem is solved for X over the tokens Q^T c, and nothing is lost to a projection afterwards.
"""

from __future__ import annotations

import torch

from ..errors import EditError

_TOLERANCE = 1e-5


def complement(protected: torch.Tensor, tolerance: float = _TOLERANCE) -> torch.Tensor:
    """Q, an orthonormal basis of what is left of the space beside the protected tokens.

    Args:
        protected: (tokens, width), in the coordinates and with the lengths by which they are to be judged: a token that is
            much shorter than the others counts for little.
        tolerance: a direction counts as theirs unless all of them together, relative to their size (Frobenius), reach no
            further than this into it and into every weaker one.

    Returns:
        (width, rest), float64.

    Raises:
        EditError: they take up the whole space.
    """
    # Singular values rather than the Gram matrix's eigenvalues: squaring would cost half of the digits.
    core = torch.linalg.qr(protected.double(), mode="r").R
    _, sizes, directions = torch.linalg.svd(core)
    energy = torch.zeros(len(directions), dtype=torch.float64, device=sizes.device)
    energy[: len(sizes)] = sizes.square()
    free = _free(energy, tolerance)
    if not free.any():
        raise EditError(
            f"The strictly preserved prompts leave no room for an edit: together they use all {protected.shape[1]} directions "
            "of the text encoder; preserve fewer of them strictly."
        )
    basis: torch.Tensor = directions[free].T.contiguous()
    return basis


def span(protected: torch.Tensor, tolerance: float = _TOLERANCE) -> torch.Tensor:
    """T, an orthonormal basis of the protected tokens' own span, beside which :func:`complement` is the rest.

    For wide embeddings, of which there are fewer protected tokens than numbers in one.

    Args:
        protected, tolerance: see :func:`complement`.

    Returns:
        (width, directions), float64.
    """
    _, sizes, directions = torch.linalg.svd(protected.double(), full_matrices=False)
    basis: torch.Tensor = directions[~_free(sizes.square(), tolerance)].T.contiguous()
    return basis


def _free(energy: torch.Tensor, tolerance: float) -> torch.Tensor:
    """Which of the directions, by falling energy, count as free: all of them beside nothing but zeros."""
    return energy.flip(0).cumsum(0).flip(0) <= tolerance**2 * energy.sum()
