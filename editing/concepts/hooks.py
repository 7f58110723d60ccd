"""A concept edit on a loaded text encoder: nothing is written into it, its MLP outputs are added to."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch


class AddedProduct:
    """A forward hook by which a layer of weight W acts as W + up down, computed in float32 whatever the layer's type.

    LoRA, offloading and further hooks on the layer go on as they are.

    Args:
        up: (width, rank)
        down: (rank, key width)
    """

    def __init__(self, up: torch.Tensor, down: torch.Tensor) -> None:
        self.up, self.down = up, down

    def __call__(self, layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        """W x + up down x for x (…, key width)."""
        with without_autocast(output.device):
            key = inputs[0].float()
            return (output.float() + (key @ self.down.to(key).T) @ self.up.to(key).T).to(output.dtype)


def without_autocast(device: torch.device) -> Any:
    """While it is open, autocast rounds nothing on a device, of whatever sort."""
    try:
        return torch.autocast(device.type, enabled=False)
    except RuntimeError:  # this torch knows no autocast there
        return nullcontext()
