"""A product of two matrices by factors of lower rank."""

from __future__ import annotations

import torch


def lowest_rank(up: torch.Tensor, down: torch.Tensor, tolerance: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Factors of lowest rank within ``tolerance`` of ``up @ down``, by the singular values of the small core."""
    basis_up, core_up = torch.linalg.qr(up.double())
    basis_down, core_down = torch.linalg.qr(down.double().T)
    left, sizes, right = torch.linalg.svd(core_up @ core_down.T)
    rest = sizes.square().flip(0).cumsum(0).flip(0)
    rank = max(1, int((rest > tolerance**2 * rest[0]).sum()))
    root = sizes[:rank].sqrt()
    return (basis_up @ left[:, :rank]) * root, (root[:, None] * right[:rank]) @ basis_down.T
