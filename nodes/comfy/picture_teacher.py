"""The diffusion model's part in stage one, mode "full": pictures of the destinations, and what it predicts for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import comfy.model_management
import comfy.sample
import latent_preview
import torch

from ...editing.concepts.concept_lines import Concept
from ...editing.concepts.concept_recipe import ConceptRecipe
from ...editing.concepts.destinations import Destinations
from ...editing.concepts.noise_teacher import NoiseTeacher
from ...editing.errors import EditError
from .attention_teacher import attention_teacher
from .diffusion_model import Differentiable, empty_latents, model_name
from .progress import stop_if_interrupted

_EACH, _STEPS, _GUIDANCE = 4, 12, 6.0
_PIXELS = 8
"""A number of a latent is as wide and as high."""


def noise_teacher(
    model: Any, clip: Any, recipe: ConceptRecipe, pictures: torch.Tensor | None, seed: int
) -> tuple[Callable[[], NoiseTeacher], Sequence[str]]:
    """Makes teachers by a MODEL, and a name for each concept that changes with the model and its own pictures.

    Args:
        model, clip: ComfyUI's.
        recipe: what is asked.
        pictures: the user's, as (n, channels, height, width) of a LATENT: equally many for each concept, in their order; None
            draws them.
        seed: of pictures and noise.

    Raises:
        EditError: there is no model, or one that is not known, or the pictures cannot be shared out.
    """
    empty = empty_latents(model, recipe.mode, _EACH)
    own = [None] * len(recipe.searched)
    if pictures is not None:
        empty = torch.zeros(_EACH, *pictures.shape[1:])  # what is drawn beside them is as large as they are
        own = _shared_out(model.model.process_latent_in(pictures.float().cpu()), recipe)

    def draw(concept: Concept, own_seed: int) -> torch.Tensor:
        return _draw(model, clip, concept.sentences(recipe.templates), empty, own_seed)

    drawn = Destinations(recipe, model_name(model), seed, own, draw)
    predict = _predict(model, clip)
    lead, _ = attention_teacher(model, clip, recipe, seed)
    return lambda: NoiseTeacher(
        predict, drawn, len(recipe.templates), lead(), drawn.seeds, truth=_truth(model), own=drawn.marked
    ), drawn.names


def _shared_out(pictures: torch.Tensor, recipe: ConceptRecipe) -> list[torch.Tensor | None]:
    """For each of ``recipe.searched`` its part of the pictures: those with [pictures] get them, or, without any, all lines."""
    marked = [concept.pictures for concept in recipe.searched]
    takes = marked if any(marked) else [True] * len(marked)
    if not any(marked) and any(concept.variants for concept in recipe.concepts):
        raise EditError(
            "Pictures are for lines with [pictures] where others have variants; write it behind those, or disconnect."
        )
    if not len(pictures) or len(pictures) % sum(takes):
        lines = "lines with [pictures]" if any(marked) else "concepts"
        raise EditError(
            f"There are {len(pictures)} pictures for {sum(takes)} {lines}; connect equally many for each, in the lines' order."
        )
    parts = iter(pictures.split(len(pictures) // sum(takes)))
    return [next(parts) if taken else None for taken in takes]


def _truth(model: Any) -> Callable[..., torch.Tensor]:
    """What the model ought to believe to be clean, in the units of :func:`_predict`."""

    def truth(clean: torch.Tensor, noise: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        return clean / _sigmas(model, points).to(clean.device).view(-1, *[1] * (clean.ndim - 1))

    return truth


def _sigmas(model: Any, points: torch.Tensor) -> torch.Tensor:
    """(n,) how much noise there is at points of the schedule, from 0 (clean) to 1 (noise alone)."""
    sampling = model.get_model_object("model_sampling")
    return torch.tensor([float(sampling.percent_to_sigma(1 - float(point))) for point in points])


@torch.inference_mode()
def _draw(model: Any, clip: Any, sentences: Sequence[tuple[str, str]], empty: torch.Tensor, seed: int) -> torch.Tensor:
    """Latents of a destination, as the model reads them; each picture is previewed while it is drawn."""
    noise = comfy.sample.prepare_noise(empty, seed)
    named, nothing = (clip.encode_from_tokens_scheduled(clip.tokenize(text)) for text in (sentences[0][1], ""))
    drawn = comfy.sample.sample(
        model, noise, _STEPS, _GUIDANCE, "ddim", "ddim_uniform", named, nothing, empty,
        callback=latent_preview.prepare_callback(model, _STEPS), disable_pbar=True, seed=seed,
    )  # fmt: skip
    return model.model.process_latent_in(drawn.float().cpu())


def _predict(model: Any, clip: Any) -> Callable[..., torch.Tensor]:
    device = model.load_device

    @cache
    def beside(height: int, width: int) -> torch.Tensor | None:
        """What SDXL is told beside the tokens: of the pooled text the empty prompt's, so that the tokens have to say all."""
        _, pooled = clip.encode_from_tokens(clip.tokenize(""), return_pooled=True)
        sizes = {"height": height * _PIXELS, "width": width * _PIXELS}
        return model.model.encode_adm(pooled_output=pooled, device=device, **sizes)

    def predict(clean: torch.Tensor, noise: torch.Tensor, points: torch.Tensor, contexts: torch.Tensor) -> torch.Tensor:
        stop_if_interrupted()
        told = beside(*clean.shape[2:])
        comfy.model_management.load_models_gpu([model])
        sigma = _sigmas(model, points).to(device)
        high = sigma.view(-1, *[1] * (clean.ndim - 1))
        noisy = model.model.model_sampling.noise_scaling(high, noise.to(device), clean.to(device))
        with Differentiable():
            more = {} if told is None else {"y": told.to(device).expand(len(noisy), -1)}
            denoised = model.model.apply_model(noisy, sigma, c_crossattn=contexts.to(device), **more)
        # What the model believes to be clean, in units of the noise, so that no point of the schedule counts more than another.
        return (denoised / high).to(contexts.device)

    return predict
