"""A MODEL as stage one of a concept edit asks it."""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from ...editing.concepts.destinations import sample_digest
from ...editing.errors import EditError
from .model_edits import known_text_inputs


def empty_latents(model: Any, mode: str, count: int) -> torch.Tensor:
    """``count`` latents as large as the model was trained for.

    Raises:
        EditError: there is no model, or one that is not known.
    """
    if model is None:
        raise EditError(f"The mode “{mode}” asks the diffusion model; connect the MODEL, or choose the mode “text”.")
    inputs = known_text_inputs(model)
    family = inputs.family if inputs else None
    if family is None or not family.latent_side:
        named = f"{family.name} models" if family else "this model"
        raise EditError(f"The mode “{mode}” does not know {named}; choose the mode “text”.")
    return torch.zeros(count, model.model.latent_format.latent_channels, family.latent_side, family.latent_side)


def model_name(model: Any) -> str:
    """Changes with the weights, by a sample of them; with the patches on them, by their own name; and with a schedule or
    a kind of prediction that a node has put on it."""
    name = f"{sample_digest(model.model.diffusion_model.parameters())} {model.patches_uuid if model.patches else ''}"
    sampling = model.object_patches.get("model_sampling")
    return name if sampling is None else f"{name} {[kind.__name__ for kind in type(sampling).__mro__]} {_noises(sampling)}"


def _noises(sampling: Any) -> list[float]:
    """How much noise there is at some points of a schedule."""
    return [float(sampling.percent_to_sigma(point)) for point in (0.01, 0.25, 0.5, 0.75)]


class Differentiable(TorchFunctionMode):
    """ComfyUI loads weights in inference mode, and such tensors cannot be part of a gradient: copies take their place."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with torch._C.DisableTorchFunction():
            args = [_plain(entry) for entry in args]
            kwargs = {name: _plain(entry) for name, entry in (kwargs or {}).items()}
        return function(*args, **kwargs)


def _plain(entry: Any) -> Any:
    return entry.clone() if isinstance(entry, torch.Tensor) and entry.is_inference() else entry
