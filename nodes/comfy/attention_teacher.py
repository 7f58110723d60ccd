"""The diffusion model's part in stage one, mode "attention": what its cross-attention layers make of a text."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import comfy.model_management
import comfy.sample
import torch

from ...editing.concepts.attention_teacher import AttentionTeacher, queries_of, read_by
from ...editing.concepts.concept_recipe import ConceptRecipe
from .diffusion_model import Differentiable, empty_latents, model_name
from .progress import stop_if_interrupted


def attention_teacher(model: Any, clip: Any, recipe: ConceptRecipe, seed: int) -> tuple[Callable[[], AttentionTeacher], str]:
    """Makes teachers by a MODEL, and a name that changes with the model.

    Args:
        model, clip: ComfyUI's.
        recipe: what is asked.
        seed: of the noise that the layers are asked about.

    Raises:
        EditError: there is no model, or one that is not known.
    """
    empty = empty_latents(model, recipe.mode, 1)

    @torch.inference_mode()
    def run() -> None:
        nothing = clip.encode_from_tokens_scheduled(clip.tokenize(""))
        noise = comfy.sample.prepare_noise(empty, seed)
        comfy.sample.sample(
            model, noise, 1, 1.0, "euler", "normal", nothing, nothing, empty, disable_pbar=True, seed=seed
        )  # fmt: skip

    queries = cache(lambda: queries_of(model.model.diffusion_model, run, seed))  # not asked for where every value is known

    def read(contexts: torch.Tensor) -> list[torch.Tensor]:
        stop_if_interrupted()
        asked = queries()
        comfy.model_management.load_models_gpu([model])
        with Differentiable():
            return read_by(asked, contexts)

    return lambda: AttentionTeacher(read, len(recipe.templates)), f"attention {seed} {model_name(model)}"
