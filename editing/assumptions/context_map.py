"""ContextMap: the d x d map M = I + L R of text embeddings that every edit of this family is."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..errors import EditError


@dataclass(frozen=True)
class ContextMap:
    """M = I + L R, which replaces a projection W by W M, or, equally, its input c by M c.

    Args:
        left: L, (width, rank)
        right: R, (rank, width)

    Raises:
        EditError: a factor is not finite.
    """

    left: torch.Tensor
    right: torch.Tensor

    def __post_init__(self) -> None:
        width, rank = self.left.shape
        if self.right.shape != (rank, width):
            raise ValueError(f"factors of shapes {tuple(self.left.shape)} and {tuple(self.right.shape)} do not fit")
        _finite(self.left)
        _finite(self.right)

    @classmethod
    def identity(cls, width: int) -> ContextMap:
        """The map that changes nothing: rank 0."""
        return cls(torch.zeros(width, 0), torch.zeros(0, width))

    @classmethod
    def from_product(cls, left: torch.Tensor, right: torch.Tensor, tolerance: float = 1e-7) -> ContextMap:
        """The map I + ``left`` ``right``, in float32 factors that lose nothing to cancellation.

        L has orthonormal columns and R orthogonal rows, by falling size: the singular value decomposition of M - I, from
        two rotations, which lose nothing: the eigenvectors of either side's Gram matrix. Directions that carry together
        less than ``tolerance`` of the Frobenius norm of M - I are left out; of a product that is 0, all: rank 0.
        """
        left, right = left.double(), right.double()
        if left.shape[1] >= left.shape[0]:
            basis, rows = None, left @ right
        else:
            basis, rows = _spread(left, right)
        energy, vectors = torch.linalg.eigh(_finite(rows @ rows.T))
        spread = vectors if basis is None else basis @ vectors
        keep = _strongest(energy.clamp(min=0) * spread.square().sum(0), tolerance)
        return cls(spread[:, keep].float(), (vectors[:, keep].T @ rows).float())

    @property
    def width(self) -> int:
        """d, the width of a text embedding."""
        return self.left.shape[0]

    @property
    def rank(self) -> int:
        """How many directions of the embedding space are changed."""
        return self.left.shape[1]

    @property
    def nbytes(self) -> int:
        """Memory that the factors hold."""
        return self.left.nbytes + self.right.nbytes

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> ContextMap:
        """The same map elsewhere or in another precision."""
        return ContextMap(self.left.to(device, dtype), self.right.to(device, dtype))

    def apply(self, embeddings: torch.Tensor) -> torch.Tensor:
        """M c for every token: (…, width) to (…, width), in the input's type."""
        return mapped_context(embeddings, self.left, self.right)

    def apply_to_weight(self, weight: torch.Tensor) -> torch.Tensor:
        """W M: (out, width) to (out, width), in the weight's type, computed in float32 or better."""
        wide = _wide(weight)
        return torch.addmm(wide, wide @ self.left.to(wide), self.right.to(wide)).to(weight.dtype)

    def compose(self, later: ContextMap) -> ContextMap:
        """The map of two weight edits in turn, this one first: W M M_later."""
        right = torch.cat([self.right.double(), later.right.double()])
        shared = later.left.double() + self.left.double() @ (self.right.double() @ later.left.double())
        return ContextMap.from_product(torch.cat([self.left.double(), shared], dim=1), right)

    def scale(self, strength: float) -> ContextMap:
        """I + strength (M - I)."""
        return ContextMap(self.left * strength, self.right)

    def truncate(self, tolerance: float) -> ContextMap:
        """The map of lowest rank whose M - I is within ``tolerance`` (relative, Frobenius) of this one's."""
        return ContextMap.from_product(self.left, self.right, tolerance)

    def padded(self, width: int) -> ContextMap:
        """The map of wider vectors that changes their first part as this one does, and leaves the rest."""
        more = (0, width - self.width)
        pad = torch.nn.functional.pad
        return ContextMap(pad(self.left, (0, 0, *more)), pad(self.right, more))

    def change(self) -> torch.Tensor:
        """M - I as a (width, width) matrix."""
        return self.left @ self.right

    def dense(self) -> torch.Tensor:
        """M as a (width, width) matrix."""
        return torch.eye(self.width, dtype=self.left.dtype, device=self.left.device) + self.change()

    def singular_values(self) -> torch.Tensor:
        """Of M - I, falling: (rank,), float64."""
        _, core = torch.linalg.qr(self.left.double())
        values: torch.Tensor = torch.linalg.svdvals(core @ self.right.double())
        return values

    def relative_size(self) -> float:
        """||M - I|| / ||I||, Frobenius."""
        left, right = self.left.double(), self.right.double()
        squared = ((left.T @ left) * (right @ right.T)).sum().clamp(min=0)
        return float((squared / self.width).sqrt())


def weight_change(weight: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """W M - W = W L R: (out, width), in float32 or better."""
    wide = _wide(weight)
    return (wide @ left.to(wide)) @ right.to(wide)


def _wide(weight: torch.Tensor) -> torch.Tensor:
    return weight.to(torch.float32 if weight.dtype.itemsize < 4 else weight.dtype)  # float8 has no type promotion


def mapped_context(embeddings: torch.Tensor, left: torch.Tensor, right: torch.Tensor, strength: float = 1.0) -> torch.Tensor:
    """c + strength L R c for every token: (…, width) to (…, width), in the input's type, computed in the factors' or better."""
    wide = embeddings.to(torch.promote_types(embeddings.dtype, left.dtype))
    moved = (wide @ right.to(wide).T) @ left.to(wide).T
    return torch.add(wide, moved, alpha=strength).to(embeddings.dtype)


def _finite(numbers: torch.Tensor) -> torch.Tensor:
    if not numbers.isfinite().all():
        raise EditError("The edit is not finite; lower the strength or raise the regularization.")
    return numbers


def _spread(left: torch.Tensor, right: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Factors of the same product, the left one with orthonormal columns (shorter ones where they carry next to nothing)."""
    squared, vectors = torch.linalg.eigh(_finite(left.T @ left))
    # Below this the Gram matrix knows no sizes in float64. Any divisor is right: the other factor is multiplied by it.
    sizes = squared.clamp(min=1e-14 * float(squared.sum()) + torch.finfo(torch.float64).tiny).sqrt()
    return (left @ vectors) / sizes, sizes[:, None] * (vectors.T @ right)


def _strongest(energy: torch.Tensor, tolerance: float) -> torch.Tensor:
    """Indices of the largest energies, falling, without the smallest that sum to less than tolerance² of all."""
    falling = energy.argsort(descending=True)
    rest = energy[falling].flip(0).cumsum(0).flip(0)
    return falling[rest > tolerance**2 * energy.sum()]
