"""Prompts to pictures with a diffusers pipeline, many at once, with an edit or without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..pocket.model import GUIDANCE, STEPS
from .pipeline_encoder import PipelineEncoder, parts
from .text_map import DrawnMap, TextMap

_AT_ONCE = 64


def noise(pipe: Any, seeds: Sequence[int]) -> torch.Tensor:
    """What each seed starts from: (seeds, channels, height, width)."""
    shape = pipe.unet.config.in_channels, pipe.unet.config.sample_size, pipe.unet.config.sample_size
    return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


@torch.inference_mode()
def generate(
    pipe: Any,
    prompts: Sequence[str],
    seeds: Sequence[int],
    context_map: TextMap | None = None,
    by_chance: tuple[DrawnMap, Sequence[Any]] | None = None,
    steps: int = STEPS,
    guidance: float = GUIDANCE,
    advance: Callable[[int], object] = lambda count: None,
) -> torch.Tensor:
    """A picture for each prompt and its seed: (n, 3, height, width) from -1 to 1, on the CPU.

    Args:
        pipe: the model.
        prompts, seeds: one of each for a picture.
        context_map: an edit, put on the text embeddings, which is the same as on all key and value projections.
        by_chance: the maps of an edit by chance (or any that differ from picture to picture), put on likewise, and what each
            picture has drawn.
        steps, guidance: of the sampler.
        advance: told after every batch how many pictures came with it.
    """
    pipe.set_progress_bar_config(disable=True)
    texts = list(dict.fromkeys([*prompts, ""]))
    contexts = torch.stack([encoded.embeddings for encoded in PipelineEncoder(pipe)(texts)])
    if context_map is not None:
        contexts = context_map.to(contexts.device).apply(contexts)
    known = dict(zip(texts, contexts, strict=True))
    pictures = []
    for numbers in parts(range(len(prompts)), _AT_ONCE):
        positive = torch.stack([known[prompts[n]] for n in numbers])
        negative = known[""].expand(len(numbers), -1, -1)
        if by_chance is not None:
            maps, drawn = by_chance[0].to(contexts.device), [by_chance[1][n] for n in numbers]
            positive, negative = maps.apply(positive, drawn), maps.apply(negative, drawn)
        answer = pipe(
            prompt_embeds=positive,
            negative_prompt_embeds=negative,
            latents=noise(pipe, [seeds[n] for n in numbers]).to(pipe.device),
            num_inference_steps=steps,
            guidance_scale=guidance,
            output_type="pt",
        )
        pictures.append((answer.images.float().cpu() * 2 - 1).clamp(-1, 1))
        advance(len(numbers))
    return torch.cat(pictures)
