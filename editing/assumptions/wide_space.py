"""The coordinates of :mod:`.space` for wide embeddings, without a matrix of width by width.

With S = D + R^T R and R D^-½ = P Σ Q (singular values), S = L L^T for L = D^½ (I + Q^T ((I + Σ²)^½ - I) Q), so that L^-1 costs
two products with a few rows. Tokens that must not change are taken out by their span's own basis T: c - T T^T c.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from .null_space import span
from .wide_moment import WideMoment


@dataclass(frozen=True)
class WideSpace:
    """Where a problem is solved.

    Args:
        unit: (width,), as of :class:`~.space.Space`.
        basis: Q, (few, width) with orthonormal rows; empty for the identity.
        less: (I + Σ²)^-½ - I, (few,).
        root: D^½, (width,).
        held: T, (width, few), orthonormal; None where nothing is strictly protected.
    """

    unit: torch.Tensor
    basis: torch.Tensor
    less: torch.Tensor
    root: torch.Tensor
    held: torch.Tensor | None = None

    @classmethod
    def of(cls, width: int, moment: WideMoment | None, protected: torch.Tensor | None, device: torch.device) -> WideSpace:
        """The space of a moment, or the identity, beside protected tokens, (tokens, width)."""
        ones = torch.ones(width, dtype=torch.float64, device=device)
        if moment is None:
            space = cls(ones, torch.zeros(0, width).to(ones), ones[:0], ones)
        else:
            root = moment.rest.to(device, torch.float64).sqrt()
            rows = moment.rows.to(device, torch.float64) / root
            energy, vectors = torch.linalg.eigh(rows @ rows.T)
            strong = energy > energy.amax() * 1e-12
            basis = (vectors[:, strong].T @ rows) / energy[strong].sqrt()[:, None]
            space = cls(moment.diagonal().to(device).sqrt(), basis, (1 + energy[strong]).rsqrt() - 1, root)
        if protected is None:
            return space
        tokens = space.seen(protected.to(device))
        sizes = torch.linalg.vector_norm(tokens, dim=1, keepdim=True)
        return replace(space, held=span(torch.where(sizes > 0, tokens / sizes, 0.0)))

    @property
    def free(self) -> torch.Tensor | None:
        """Whether something is strictly protected: its span, else None."""
        return self.held

    @property
    def unconfined(self) -> WideSpace:
        """The same without what is protected."""
        return replace(self, held=None)

    def seen(self, tokens: torch.Tensor) -> torch.Tensor:
        """Embeddings in this space: (tokens, width), float64."""
        rows = self._turned(tokens.double() / self.root)
        return rows if self.held is None else rows - (rows @ self.held) @ self.held.T

    def back(self, rows: torch.Tensor) -> torch.Tensor:
        """What reads embeddings of this space, as what reads those of the encoder: (any, width)."""
        if self.held is not None:
            rows = rows - (rows @ self.held) @ self.held.T
        return self._turned(rows) / self.root

    def _turned(self, rows: torch.Tensor) -> torch.Tensor:
        return rows + ((rows @ self.basis.T) * self.less) @ self.basis
