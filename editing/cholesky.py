"""The one factorisation of a positive definite matrix that both kinds of edit are solved by."""

from __future__ import annotations

import torch

from .errors import EditError


def cholesky(matrix: torch.Tensor, advice: str = "raise the regularization") -> torch.Tensor:
    """The lower factor.

    Args:
        matrix: (n, n), symmetric.
        advice: what to do about one that has no such factor.

    Raises:
        EditError: it is not positive definite, or not finite.
    """
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if failed or not factor.isfinite().all():
        raise EditError(f"The edit cannot be solved: {advice}.")
    lower: torch.Tensor = factor
    return lower
