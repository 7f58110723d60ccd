"""The coordinates that an edit is solved in: those in which what is held in place is held alike in every direction.

With S = L L^T, the regularizer lambda ||Δ L||² is that of the identity for tokens L^-1 c, and the solution is Δ L there.
Whatever coordinates a text encoder writes its embeddings in, these are the same up to a rotation. Tokens that must not change
at all leave only the complement of their span, with the basis Q (:mod:`.null_space`): the tokens Q^T L^-1 c.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..cholesky import cholesky
from .null_space import complement
from .wide_moment import WIDEST, WideMoment
from .wide_space import WideSpace

Moment = torch.Tensor | WideMoment
"""S, (width, width), or that of wide embeddings."""


@dataclass(frozen=True)
class Space:
    """Where a problem is solved.

    Args:
        unit: (width,), the size of each coordinate of an embedding, by which differences between embeddings are measured.
        factor: L, (width, width), lower triangular; None is the identity.
        free: Q, (width, rest); None where nothing is strictly protected.
    """

    unit: torch.Tensor
    factor: torch.Tensor | None = None
    free: torch.Tensor | None = None

    @classmethod
    def of(cls, width: int, moment: torch.Tensor | None, protected: torch.Tensor | None, device: torch.device) -> Space:
        """The space of a moment S, (width, width), or the identity, beside protected tokens, (tokens, width).

        Raises:
            EditError: S has no inverse, or what is protected leaves no room.
        """
        if moment is None:
            space = cls(torch.ones(width, dtype=torch.float64, device=device))
        else:
            moment = moment.to(device, torch.float64)
            space = cls(moment.diagonal().sqrt(), cholesky(moment))
        if protected is None:
            return space
        tokens = space.seen(protected.to(device))
        sizes = torch.linalg.vector_norm(tokens, dim=1, keepdim=True)
        return cls(space.unit, space.factor, complement(torch.where(sizes > 0, tokens / sizes, 0.0)))

    @property
    def unconfined(self) -> Space:
        """The same without what is protected."""
        return Space(self.unit, self.factor)

    def seen(self, tokens: torch.Tensor) -> torch.Tensor:
        """Embeddings in this space: (tokens, width) to (tokens, its width), float64."""
        return self._forth(tokens.double().T).T

    def seen_moment(self, moment: torch.Tensor) -> torch.Tensor:
        """sum c c^T of embeddings in this space: (width, width) to (its width, its width)."""
        return self._forth(self._forth(moment).T)

    def seen_cross(self, cross: torch.Tensor) -> torch.Tensor:
        """sum c e^T of embeddings c beside anything: (width, any) to (its width, any)."""
        return self._forth(cross)

    def back(self, rows: torch.Tensor) -> torch.Tensor:
        """What reads embeddings of this space, as what reads those of the encoder: (any, its width) to (any, width)."""
        rows = rows if self.free is None else rows @ self.free.T
        return rows if self.factor is None else torch.linalg.solve_triangular(self.factor, rows, upper=False, left=False)

    def _forth(self, columns: torch.Tensor) -> torch.Tensor:
        if self.factor is not None:
            columns = torch.linalg.solve_triangular(self.factor, columns, upper=False)
        return columns if self.free is None else self.free.T @ columns


def space_of(width: int, moment: Moment | None, protected: torch.Tensor | None, device: torch.device) -> Space | WideSpace:
    """The space of a moment of either kind, or the identity; see :meth:`Space.of`."""
    if isinstance(moment, WideMoment) or (moment is None and width > WIDEST):
        return WideSpace.of(width, moment, protected, device)
    return Space.of(width, moment, protected, device)
