"""A pipeline of a checkpoint's text encoders alone, from their weights: enough to make an edit with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from diffusers.loaders.single_file_utils import create_diffusers_clip_model_from_ldm
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from ..editing.errors import EditError

_SOURCES = {
    "SD 1.x": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "SD 2.x": "stabilityai/stable-diffusion-2-1",
    "SDXL": "stabilityai/stable-diffusion-xl-base-1.0",
}
"""Where a family's tokenizers and the sizes of its text encoders are, on the Hugging Face Hub."""


def text_pipeline(family: str, weights: Callable[[], dict[str, torch.Tensor]], source: str | None = None) -> Any:
    """A pipeline without diffusion model and VAE.

    Args:
        family: of the checkpoint, as :data:`~..editing.families.FAMILIES` calls it.
        weights: reads its text encoders', under the checkpoint's keys; once for each, so that they need not stay in memory.
        source: a diffusers folder of the family, or a name on the hub, for tokenizers and sizes; None for the family's own.

    Raises:
        EditError: the family has other text encoders, or tokenizers cannot be had.
    """
    if family not in _SOURCES:
        raise EditError(
            f"An edit for {family} cannot be made from a checkpoint file; make it with a diffusers folder, or in ComfyUI."
        )
    place = source or _SOURCES[family]
    classes = [CLIPTextModel, CLIPTextModelWithProjection] if family == "SDXL" else [CLIPTextModel]
    parts: dict[str, Any] = {}
    try:
        for number, kind in enumerate(classes):
            ending = f"_{number + 1}" if number else ""
            tokenizer = CLIPTokenizer.from_pretrained(place, subfolder=f"tokenizer{ending}")
            parts[f"text_encoder{ending}"] = create_diffusers_clip_model_from_ldm(
                kind, weights(), subfolder=f"text_encoder{ending}", config=place
            ).float()
            positions = parts[f"text_encoder{ending}"].config.max_position_embeddings
            tokenizer.model_max_length = min(tokenizer.model_max_length, positions)  # which some folders do not say
            parts[f"tokenizer{ending}"] = tokenizer
    except (OSError, ValueError) as error:
        raise EditError(
            f"The tokenizer and sizes of the text encoder of {family} cannot be had from “{place}”; give --config a diffusers "
            "folder of the same family."
        ) from error
    if family == "SDXL":
        return StableDiffusionXLPipeline(vae=None, unet=None, scheduler=None, **parts)
    return StableDiffusionPipeline(
        vae=None, unet=None, scheduler=None, safety_checker=None, feature_extractor=None, requires_safety_checker=False, **parts
    )
