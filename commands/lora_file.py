"""An edit of either kind as a LoRA file."""

from __future__ import annotations

from pathlib import Path

import torch

from ..editing.any_edit import AnyEdit
from ..editing.assumptions.edit_lora import lora_tensors
from ..editing.assumptions.text_inputs import TextInputs
from ..editing.concepts.concept_edit import ConceptEdit
from ..editing.concepts.concept_lora import concept_family, concept_lora_tensors
from ..editing.lora_file import lora_metadata, save_lora


def write_lora(inputs: TextInputs, edit: AnyEdit, path: Path, tolerance: float, dtype: torch.dtype) -> None:
    """Write it.

    Args:
        inputs: of the model that the LoRA is for.
        edit: at the strength that is wanted.
        path: where.
        tolerance, dtype: see :func:`~..editing.assumptions.edit_lora.lora_tensors`.

    Raises:
        EditError: the weights cannot be read, or a value does not fit ``dtype``.
        OSError: it cannot be written.
    """
    if isinstance(edit, ConceptEdit):
        family, tensors = concept_family(edit), concept_lora_tensors(edit, tolerance, dtype)
    else:
        chosen = inputs.chosen(edit)
        family, tensors = inputs.family, lora_tensors(edit, inputs.family, chosen, inputs.weights(chosen), tolerance, dtype)
    save_lora(path, tensors, lora_metadata(edit, family, tensors, path.stem))
