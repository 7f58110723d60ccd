"""Prompts to pictures with any diffusers pipeline, as it is at that moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


@torch.inference_mode()
def draw_pictures(pipe: Any, prompts: Sequence[str], seeds: Sequence[int], steps: int, guidance: float) -> torch.Tensor:
    """A picture for each prompt and its seed, whatever is drawn beside it: (n, 3, height, width) from -1 to 1, on the CPU.

    Args:
        pipe: the pipeline.
        prompts, seeds: one of each for a picture, all in one batch.
        steps, guidance: of the sampler.
    """
    pipe.set_progress_bar_config(disable=True)
    answer = pipe(
        prompt=list(prompts),
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        num_inference_steps=steps,
        guidance_scale=guidance,
        output_type="pt",
    )
    images: torch.Tensor = answer.images
    return (images.float().cpu() * 2 - 1).clamp(-1, 1)
