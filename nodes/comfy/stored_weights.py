"""A ComfyUI model's own weights, one at a time, without any patch and however they are stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import comfy.model_patcher
import torch


@dataclass(frozen=True)
class StoredWeight:
    """A weight as the host keeps it.

    Args:
        tensor: as stored; its shape is that of the weight itself, also where the host quantised it.
        unpack: the host's own function from a part of it to plain numbers.
    """

    tensor: torch.Tensor
    unpack: Callable[..., torch.Tensor]

    @property
    def packed(self) -> bool:
        """Whether it is stored in a form that only its loader can read, such as GGUF's."""
        return not self.tensor.is_floating_point()

    def rows(self, device: torch.device | str = "cpu", every: int = 1) -> torch.Tensor:
        """One row in ``every``: (rows, width) in float32, a copy where ``every`` is 1."""
        part = self.tensor.detach()[::every]
        return self.unpack(part.to(device, torch.float32, copy=every == 1))


def stored_weight(patcher: Any, key: str) -> StoredWeight:
    """The weight of this key, also while patches or hooks are loaded.

    The host's own ``get_key_patches`` lists the scales of a quantised checkpoint among the weights, and then does not find
    them; GGUF's lists others that it does not have. Asked one by one, all answer.

    Args:
        patcher: a ``ModelPatcher``.
        key: as in its ``patches``.
    """
    weight, _, unpack = comfy.model_patcher.get_key_weight(patcher.model, key)
    if key in patcher.backup:  # a hook's backup may have the patches in it
        weight = patcher.backup[key].weight
    elif key in patcher.hook_backup:
        weight = patcher.hook_backup[key][0]
    return StoredWeight(weight, unpack or _as_it_is)


def shapes_of(patcher: Any, prefix: str) -> dict[str, torch.Size]:
    """Key to shape of every weight whose key begins with ``prefix``."""
    with patcher.use_ejected():
        return {key: weight.shape for key, weight in patcher.model.named_parameters() if key.startswith(prefix)}


def is_quantised(patcher: Any) -> bool:
    """Whether ComfyUI keeps weights of this model quantised (fp8 with a scale, int8, nvfp4, …); they are read all the same."""
    return any(hasattr(weight, "layout_cls") for weight in patcher.model.parameters())


def _as_it_is(weight: torch.Tensor, **_: Any) -> torch.Tensor:
    return weight
