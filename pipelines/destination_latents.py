"""Latents of pictures of the concepts' destinations, from a diffusers pipeline: the user's pictures, else some drawn here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from ..editing.concepts.concept_lines import Concept
from ..editing.concepts.concept_recipe import ConceptRecipe
from ..editing.concepts.destinations import Destinations
from .supported import execution_device
from .weights_in_use import weights_digest

PICTURES, STEPS = 4, 12


def destination_latents(pipe: Any, recipe: ConceptRecipe, pictures: Mapping[str, torch.Tensor], seed: int) -> Destinations:
    """Those of a recipe.

    Args:
        pipe: the pipeline.
        recipe: the concepts, and the sentences that their destinations are drawn from.
        pictures: source to the user's pictures, (n, 3, height, width) from -1 to 1.
        seed: of what is drawn.
    """
    return Destinations(
        recipe,
        weights_digest(pipe.unet),
        seed,
        [None if concept.variants else pictures.get(concept.source) for concept in recipe.concepts for _ in concept.meanings],
        partial(_drawn, pipe, recipe),
        partial(_encoded, pipe),
    )


@torch.no_grad()
def _drawn(pipe: Any, recipe: ConceptRecipe, concept: Concept, seed: int) -> torch.Tensor:
    texts = [destination for _, destination in concept.sentences(recipe.templates)]
    pipe.set_progress_bar_config(disable=True)
    answer = pipe(
        prompt=[texts[number % len(texts)] for number in range(PICTURES)],
        generator=[torch.Generator().manual_seed(seed + number) for number in range(PICTURES)],
        num_inference_steps=STEPS,
        output_type="latent",
    )
    latents: torch.Tensor = answer.images
    return latents.float().cpu()


@torch.no_grad()
def _encoded(pipe: Any, pictures: torch.Tensor) -> torch.Tensor:
    vae = pipe.vae
    kept = vae.dtype
    try:
        if vae.config.force_upcast:  # in half precision it overflows
            vae.to(torch.float32)
        latents = vae.encode(pictures.to(execution_device(pipe), vae.dtype)).latent_dist.mean
    finally:
        vae.to(kept)
    scaled: torch.Tensor = latents * vae.config.scaling_factor
    return scaled.float().cpu()
