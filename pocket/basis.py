"""The latents: principal components of 8 x 8 pixel patches, a fixed linear map, so that training starts from good ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional

from ..editing.tensor_file import load_tensors
from ..editing.whole_file import save_whole

_PATCH = 8
_EVENNESS = 0.5


@dataclass(frozen=True)
class Basis:
    """Patches to latents.

    Args:
        mean: of a patch, (192,).
        components: (192, channels), each scaled. Their standard deviations are drawn half-way (geometrically) to 1, so that
            the diffusion model decides on coarse things first but can draw the fine ones.
        scale: 1 over the standard deviation of all latents.
    """

    mean: torch.Tensor
    components: torch.Tensor
    scale: float

    @classmethod
    def of(cls, images: torch.Tensor, channels: int) -> Basis:
        """From pictures, (n, 3, side, side)."""
        patches = functional.pixel_unshuffle(images, _PATCH).permute(0, 2, 3, 1).flatten(0, 2).double()
        mean = patches.mean(dim=0)
        energy, vectors = torch.linalg.eigh(torch.cov((patches - mean).T))
        energy, vectors = energy.flip(0)[:channels], vectors.flip(1)[:, :channels]
        components = vectors * energy ** (-0.5 * _EVENNESS)
        scale = float(energy.pow(1 - _EVENNESS).mean() ** -0.5)
        return cls(mean.float(), components.float(), scale)

    def latents(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 3, side, side) to (n, channels, side / 8, side / 8), before scaling."""
        patches = functional.pixel_unshuffle(images, _PATCH).permute(0, 2, 3, 1)
        return ((patches - self.mean.to(images)) @ self.components.to(images)).permute(0, 3, 1, 2)

    def save(self, path: Path) -> None:
        """Write a file."""
        save_whole({"mean": self.mean, "components": self.components, "scale": torch.tensor(self.scale)}, path, {})

    @classmethod
    def load(cls, path: Path) -> Basis:
        """Read a file that :meth:`save` wrote."""
        tensors = load_tensors(path)
        return cls(tensors["mean"], tensors["components"], float(tensors["scale"]))
