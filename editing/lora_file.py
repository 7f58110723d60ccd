"""LoRA files, which every tool that loads LoRA understands: layer names, alpha and metadata as kohya's scripts write them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Protocol

import torch

from .errors import EditError
from .families import Family
from .whole_file import save_whole


class Recipe(Protocol):
    """What was asked."""

    def to_text(self) -> str:
        """As lines."""
        ...


class Exported(Protocol):
    """An edit of either kind, as far as a file's header names it."""

    @property
    def changes_what(self) -> str:
        """In words."""
        ...

    @property
    def recipe(self) -> Recipe:
        """What was asked."""
        ...


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


def lora_metadata(edit: Exported, family: Family, tensors: Mapping[str, torch.Tensor], title: str) -> dict[str, str]:
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
        "modelspec.description": f"Closed-form edit of {edit.changes_what} by Edit Assumption",
        "edit_assumption.recipe": edit.recipe.to_text(),
    }


def save_lora(path: str | os.PathLike[str], tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    """Write a LoRA file, whole or not at all."""
    save_whole(tensors, path, metadata)
