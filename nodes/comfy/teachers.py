"""What a MODEL tells stage one of a concept edit, by the recipe's mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ...editing.concepts.concept_recipe import ConceptRecipe
from ...editing.concepts.paired_encoders import each_beside
from ...editing.concepts.text_encoder import TextEncoder
from ...editing.concepts.values import Distill
from ...editing.errors import EditError
from .attention_teacher import attention_teacher
from .picture_teacher import noise_teacher


def teachers(
    model: Any,
    clip: Any,
    recipe: ConceptRecipe,
    encoders: Sequence[TextEncoder],
    pictures: torch.Tensor | None,
    seed: int,
) -> tuple[Mapping[str, Distill] | None, str | Sequence[str]]:
    """For each encoder its teacher, None in the mode "text"; and a name that changes with the model and its pictures.

    Args:
        model, clip: ComfyUI's; the mode "text" needs no model.
        recipe: what is asked.
        encoders: the CLIP's.
        pictures: the user's latents, for the mode "full".
        seed: of noise, and of pictures that are drawn.

    Raises:
        EditError: the mode needs a model that is not there, or does not know it.
    """
    if pictures is not None and recipe.mode != "full":
        raise EditError("Pictures are for the mode “full”; choose it, or disconnect them.")
    if recipe.mode == "text":
        return None, ""
    if recipe.mode == "attention":
        teacher, name = attention_teacher(model, clip, recipe, seed)
        return each_beside(teacher, encoders, recipe), name
    teacher, names = noise_teacher(model, clip, recipe, pictures, seed)
    return each_beside(teacher, encoders, recipe), names
