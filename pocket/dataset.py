"""Pictures and captions to train on, drawn from numbers: the same number is the same sample."""

from __future__ import annotations

import random
from collections.abc import Iterable

import numpy as np
import torch

from .captions import Sample, random_sample
from .scenes import Scene, draw_scene


def sample_number(seed: str, number: int) -> tuple[Sample, random.Random]:
    """A sample, and the chance that draws its picture."""
    chance = random.Random(f"{seed} {number}")
    return random_sample(chance), chance


def pictures(seed: str, numbers: Iterable[int]) -> tuple[torch.Tensor, list[Sample]]:
    """(n, 3, SIDE, SIDE) from -1 to 1, and what they show."""
    drawn, samples = [], []
    for number in numbers:
        sample, chance = sample_number(seed, number)
        drawn.append(draw([sample.scene], chance))
        samples.append(sample)
    return torch.cat(drawn), samples


def draw(scenes: Iterable[Scene], chance: random.Random) -> torch.Tensor:
    """(n, 3, SIDE, SIDE) from -1 to 1."""
    images = np.stack([np.asarray(draw_scene(scene, chance)) for scene in scenes])
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
