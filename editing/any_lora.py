"""An edit of either kind as a LoRA."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from .any_edit import AnyEdit
from .assumptions.edit_lora import lora_tensors
from .assumptions.text_inputs import TextInputs
from .concepts.concept_edit import ConceptEdit
from .concepts.concept_lora import concept_family, concept_lora_tensors
from .families import Family
from .lora_file import lora_metadata, save_lora


def any_lora(
    edit: AnyEdit,
    inputs: Callable[[], TextInputs],
    tolerance: float = 0.0,
    dtype: torch.dtype = torch.float32,
    progress: Callable[[int], Callable[[], None]] = lambda count: lambda: None,
) -> tuple[Family, dict[str, torch.Tensor]]:
    """The family that the LoRA is for, and its tensors.

    Args:
        edit: at the strength that is wanted.
        inputs: gives those of the model that the LoRA is for; not asked for an edit of concepts, which needs no model.
        tolerance, dtype: see :func:`lora_tensors`.
        progress: told how many layers there are, gives what is called after each.

    Raises:
        EditError: the weights cannot be read, or a value does not fit ``dtype``.
    """
    if isinstance(edit, ConceptEdit):
        return concept_family(edit), concept_lora_tensors(edit, tolerance, dtype)
    model = inputs().for_edit(edit)
    chosen, edit = model.chosen(edit), model.for_weights(edit)
    weights = model.weights(chosen)
    return model.family, lora_tensors(edit, model.family, chosen, weights, tolerance, dtype, progress(len(chosen)))


def write_any_lora(path: str | os.PathLike[str], edit: AnyEdit, family: Family, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write what :func:`any_lora` gave, with the edit's recipe in the header. Raises :class:`OSError` as :func:`save_lora`."""
    save_lora(path, dict(tensors), lora_metadata(edit, family, tensors, Path(path).stem))
