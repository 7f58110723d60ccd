"""The second moment of wide embeddings, as few rows and a diagonal: never a matrix of width by width.

Language models hand diffusion models several of their layers side by side, up to 53,248 numbers a token, of which a matrix
would take 11 GB. What the strongest directions of the tokens leave of each coordinate's size stands on the diagonal, so that S
has its own diagonal exactly, and what was left out is held as if it were spread evenly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

WIDEST = 4096
"""Numbers a token up to which a whole matrix is kept: what T5 and Llama have, 134 MB in float64."""
_ROWS = 512
"""How many directions are kept. Ordinary captions have most of their size in fewer."""


@dataclass(frozen=True)
class WideMoment:
    """S = R^T R + diag(rest).

    Args:
        rows: R, (few, width), float32.
        rest: (width,), float64, no number below 0.
    """

    rows: torch.Tensor
    rest: torch.Tensor

    @classmethod
    def empty(cls, width: int) -> WideMoment:
        """Of no token."""
        return cls(torch.zeros(0, width), torch.zeros(width, dtype=torch.float64))

    def plus(self, tokens: torch.Tensor) -> WideMoment:
        """With sum c c^T over more tokens, (tokens, width)."""
        return replace(self, rows=torch.cat([self.rows, tokens.to(self.rows)])).few()

    def minus(self, part: WideMoment, share: float) -> WideMoment:
        """Less a share, below 1, of a part of it; what would be negative is left at zero."""
        basis = torch.linalg.qr(torch.cat([self.rows, part.rows]).double().T).Q
        whole, less = (rows.double() @ basis for rows in (self.rows, part.rows))
        energy, vectors = torch.linalg.eigh(whole.T @ whole - share * less.T @ less)
        rows = (vectors * energy.clamp(min=0).sqrt()).T @ basis.T
        return WideMoment(rows[energy > 0].float(), (self.rest - share * part.rest).clamp(min=0))

    def scale(self, factor: float) -> WideMoment:
        """S times a factor."""
        return WideMoment(self.rows * factor**0.5, self.rest * factor)

    def blend(self, other: WideMoment, share: float) -> WideMoment:
        """So much of another one, from 0 to 1, and the rest of this one."""
        one, two = self.scale(1 - share), other.scale(share)
        return WideMoment(torch.cat([one.rows, two.rows]), one.rest + two.rest).few()

    def diagonal(self) -> torch.Tensor:
        """(width,), float64."""
        return self.rows.double().square().sum(dim=0) + self.rest

    def shrunk(self, shrinkage: float) -> WideMoment:
        """See :func:`~.moments.shrunk`."""
        diagonal = self.diagonal()
        diagonal = torch.where(diagonal > 0, diagonal, diagonal.mean())
        return WideMoment(self.rows * (1 - shrinkage) ** 0.5, (1 - shrinkage) * self.rest + shrinkage * diagonal)

    def between(self, right: torch.Tensor) -> torch.Tensor:
        """R S R^T for any R, (any, width), float64."""
        seen = right @ self.rows.to(right).T
        return seen @ seen.T + (right * self.rest.to(right)) @ right.T

    def few(self) -> WideMoment:
        """The same, where there are more than twice as many rows as are kept, in as many as are."""
        if len(self.rows) <= 2 * _ROWS:
            return self
        _, vectors = torch.linalg.eigh((self.rows @ self.rows.T).double())
        rows = vectors[:, -_ROWS:].T.float() @ self.rows
        lost = self.rows.double().square().sum(dim=0) - rows.double().square().sum(dim=0)
        return WideMoment(rows, self.rest + lost.clamp(min=0))
