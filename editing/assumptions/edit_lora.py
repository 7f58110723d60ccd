"""An edit of cross-attention as a LoRA's tensors.

W M - W = (W L) R is a low-rank update as it stands: up = W L, down = R, alpha = rank.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch

from ..errors import EditError
from ..families import Family
from ..lora_file import lora_layer
from ..low_rank import lowest_rank
from ..projections import Projection, lora_name
from .edit import Edit


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
    tensors: dict[str, torch.Tensor] = {}
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
