"""An edit as a LoRA file, which every tool that loads LoRA understands.

W M - W = (W L) R is a low-rank update as it stands: up = W L, down = R, alpha = rank. Layer names, alpha and metadata
are those that kohya's training scripts write.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping

import torch

from .any_edit import AnyEdit
from .assumptions.edit import Edit
from .assumptions.projections import Family, Projection, lora_name
from .errors import EditError
from .low_rank import lowest_rank
from .whole_file import save_whole


def lora_tensors(
    edit: Edit,
    family: Family,
    projections: Iterable[Projection],
    weights: Mapping[str, torch.Tensor],
    tolerance: float = 0.0,
    dtype: torch.dtype = torch.float32,
    progress: Callable[[], None] = lambda: None,
) -> dict[str, torch.Tensor]:
    """The LoRA's tensors for unedited weights.

    Args:
        edit: what to export.
        family, projections: of the model that the weights come from.
        weights: (out, width) for every ``projection.key``, as they are before the edit.
        tolerance: 0 for the exact update. Above, each layer's update is replaced by the one of lowest rank that is
            within this relative (Frobenius) distance of it.
        dtype: of the up and down matrices.
        progress: called after each layer.

    Raises:
        EditError: the weights are of another width than the edit or not finite, or a value does not fit ``dtype``.
    """
    if family.width != edit.context_map.width:
        raise EditError(
            f"The edit was made for models that read text of width {edit.context_map.width}, but this one is {family.name}; "
            "connect the model that it was made for."
        )
    tensors = {}
    for projection in projections:
        weight = weights[projection.key].to("cpu", torch.float32)
        context_map = edit.maps([projection], {projection.key: weight.shape[1]})[projection.key]
        up, down = weight @ context_map.left, context_map.right
        if not up.isfinite().all():
            raise EditError(f"The model's weight {projection.key} is not finite; load an undamaged checkpoint.")
        if tolerance > 0:
            up, down = lowest_rank(up, down, tolerance)
        tensors |= lora_layer(lora_name(projection, family), up, down, dtype)
        progress()
    return tensors


def lora_layer(name: str, up: torch.Tensor, down: torch.Tensor, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """A layer's tensors in a LoRA file. Raises :class:`EditError` where a value does not fit ``dtype``."""
    # Cloned: the exact form has the same down matrix in every layer, and the file format wants each its own memory.
    tensors = {
        f"{name}.lora_up.weight": up.to(dtype).contiguous(),
        f"{name}.lora_down.weight": down.to(dtype, copy=True).contiguous(),
        f"{name}.alpha": torch.tensor(float(down.shape[0]), dtype=torch.float32),  # bfloat16 has no 301
    }
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise EditError(f"The edit does not fit into {str(dtype).removeprefix('torch.')}; save it in float32.")
    return tensors


def lora_metadata(edit: AnyEdit, family: Family, tensors: Mapping[str, torch.Tensor], title: str) -> dict[str, str]:
    """The header that kohya's scripts write, as far as it applies to an edit that was not trained."""
    ranks = {int(tensor) for name, tensor in tensors.items() if name.endswith(".alpha")}
    dim = str(ranks.pop()) if len(ranks) == 1 else "Dynamic"
    return {
        "ss_network_module": "networks.lora",
        "ss_network_dim": dim,
        "ss_network_alpha": dim,
        "ss_base_model_version": family.base_model,
        "ss_v2": str(family.base_model == "sd_v2"),
        "ss_output_name": title,
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": family.architecture,
        "modelspec.implementation": "https://github.com/Stability-AI/generative-models",
        "modelspec.title": title,
        "modelspec.date": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "modelspec.description": f"Closed-form edit of {_what(edit)} by Edit Assumption",
        "edit_assumption.recipe": edit.recipe.to_text(),
    }


def _what(edit: AnyEdit) -> str:
    return "the text projections (TIME)" if isinstance(edit, Edit) else "the text encoder (EMCID)"


def save_lora(path: str | os.PathLike[str], tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    """Write a LoRA file, whole or not at all."""
    save_whole(tensors, path, metadata)
