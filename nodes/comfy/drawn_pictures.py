"""Which picture each row of a batch is, so that it draws the same in every pass, in any batch, and alone.

A picture is known by the seed of its noise and by its place among the noises of that seed, which is found by drawing them
again. Where a picture goes on being drawn, with noise of another size or none, it is known by what it looked like so far.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import torch
from torch.nn.functional import adaptive_avg_pool2d

from ...editing.assumptions.chance_draw import Picture

_FIRST = 16
"""How many numbers of a noise are compared."""
_FURTHER = 64
"""How many noises behind those of the batch are looked at."""
_REMEMBERED = 256
_SIDE = 8
_ALIKE = 0.95
"""Correlation of two small versions of latents above which they are one picture: scaling up by any method keeps 0.99."""


class DrawnPictures:
    """What was drawn so far, and the pictures of the next batch."""

    def __init__(self) -> None:
        self._seen: deque[tuple[torch.Tensor, Picture]] = deque(maxlen=_REMEMBERED)

    def among(self, noise: torch.Tensor, latents: torch.Tensor, seed: int | None) -> list[Picture]:
        """Who each row is.

        Args:
            noise, latents: (rows, channels, …), as a sampler gets them.
            seed: of the noise; None where the sampler has none.
        """
        fresh = _by_noise(noise, seed or 0)
        looks = _small(latents)
        return [self._known(look) or own for look, own in zip(looks, fresh, strict=True)]

    def remember(self, samples: torch.Tensor, pictures: Sequence[Picture]) -> None:
        """What a sampler made of them."""
        self._seen += zip(_small(samples), pictures, strict=True)

    def _known(self, look: torch.Tensor) -> Picture | None:
        best = max(self._seen, key=lambda one: _alike(one[0], look), default=None)
        return best[1] if best is not None and _alike(best[0], look) > _ALIKE else None


def _by_noise(noise: torch.Tensor, seed: int) -> list[Picture]:
    rows, shape = len(noise), noise.shape[1:]
    wanted = noise.reshape(rows, -1)[:, :_FIRST].to("cpu", torch.float32)
    found: list[int | None] = [None] * rows
    if wanted.any():
        generator = torch.Generator("cpu").manual_seed(seed)
        for index in range(rows + _FURTHER):
            first = torch.randn(shape, generator=generator).flatten()[:_FIRST]
            for row in range(rows):
                if found[row] is None and torch.allclose(wanted[row], first, atol=1e-2):
                    found[row] = index
            if None not in found:
                break
    return [Picture(seed, row if index is None else index) for row, index in enumerate(found)]


def _small(latents: torch.Tensor) -> list[torch.Tensor]:
    """Each row in a few numbers of mean 0 and length 1; zeros for an empty one."""
    flat = latents.detach().to("cpu", torch.float32).reshape(len(latents), -1, *latents.shape[-2:])
    small = adaptive_avg_pool2d(flat, _SIDE).flatten(1)
    small = small - small.mean(dim=1, keepdim=True)
    sizes = torch.linalg.vector_norm(small, dim=1, keepdim=True)
    return list(torch.where(sizes > 0, small / sizes.clamp(min=1e-12), 0.0))


def _alike(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(one @ other) if len(one) == len(other) else 0.0
