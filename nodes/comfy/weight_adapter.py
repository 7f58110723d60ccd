"""A context map as a ComfyUI weight adapter: W <- W M wherever the host applies its patches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from comfy.model_management import cast_to_device
from comfy.weight_adapter import WeightAdapterBase

from ...editing.assumptions.context_map import mapped_context, weight_change


class ContextMapAdapter(WeightAdapterBase):
    """Multiplies the weight, as patched so far, by M = I + L R.

    Args:
        loaded_keys: the weights that it is for.
        weights: (L, R). Hosts that stage patches make a copy from the same two arguments.
    """

    name = "edit_assumption"

    def __init__(self, loaded_keys: set[str], weights: tuple[torch.Tensor, torch.Tensor]) -> None:
        self.loaded_keys = loaded_keys
        self.weights = weights

    def _factors(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        left, right = self.weights
        return cast_to_device(left, device, torch.float32), cast_to_device(right, device, torch.float32)

    def calculate_weight(
        self,
        weight: torch.Tensor,
        key: str,
        strength: float,
        strength_model: float,
        offset: Any,
        function: Callable[[torch.Tensor], torch.Tensor],
        intermediate_dtype: torch.dtype = torch.float32,
        original_weight: Any = None,
    ) -> torch.Tensor:
        """The host's call while it loads a model; float32 throughout, written to the host's working copy."""
        change = weight_change(weight, *self._factors(weight.device))
        weight += function((strength * change).to(weight.dtype))
        return weight

    def calculate_shape(self, key: str) -> None:
        """Newer hosts ask whether the patch changes a weight's shape; it does not."""
        return

    def bypass_forward(
        self, org_forward: Callable[..., torch.Tensor], x: torch.Tensor, *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Newer hosts, for weights too packed to patch: W M x is W applied to M x."""
        strength = getattr(self, "multiplier", 1.0)
        return org_forward(mapped_context(x, *self._factors(x.device), strength), *args, **kwargs)
