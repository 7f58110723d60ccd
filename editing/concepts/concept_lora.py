"""A concept edit as a LoRA file: its factors are one as they stand, under kohya's names for text encoders."""

from __future__ import annotations

import torch

from ..families import Family
from ..lora_file import lora_layer
from ..low_rank import lowest_rank
from ..projections import families_of
from .concept_edit import ConceptEdit

_ALONE = "lora_te"
_TOGETHER = {"clip_l": "lora_te1", "clip_g": "lora_te2"}


def concept_family(edit: ConceptEdit) -> Family:
    """The models that read what the edited encoders say together."""
    return families_of(sum(next(iter(layers.values()))[0].shape[0] for layers in edit.changes.values()))[0]


def concept_lora_tensors(
    edit: ConceptEdit, tolerance: float = 0.0, dtype: torch.dtype = torch.float32
) -> dict[str, torch.Tensor]:
    """The LoRA's tensors; the encoder's weights are not needed.

    Args:
        edit: what to export.
        tolerance, dtype: as for :func:`~..assumptions.edit_lora.lora_tensors`.

    Raises:
        EditError: a value does not fit ``dtype``.
    """
    tensors: dict[str, torch.Tensor] = {}
    for encoder, layers in edit.changes.items():
        prefix = _ALONE if len(edit.changes) == 1 else _TOGETHER[encoder]
        for layer, (up, down) in layers.items():
            if tolerance > 0:
                up, down = lowest_rank(up, down, tolerance)
            tensors |= lora_layer(f"{prefix}_text_model_encoder_layers_{layer}_mlp_fc2", up, down, dtype)
    return tensors
