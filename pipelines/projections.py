"""An edit of the key and value projections on a diffusers pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ..editing.context_map import ContextMap
from ..editing.errors import EditError

_ENDS = ("attn2.to_k", "attn2.to_v")


@contextmanager
def edited_projections(pipe: Any, context_map: ContextMap) -> Iterator[None]:
    """While it is open, every cross-attention key and value projection W of the UNet computes W M.

    Args:
        pipe: an SD 1.x or SD 2.x pipeline.
        context_map: M.

    Raises:
        EditError: the UNet reads no text of that width.
    """
    layers = [module for name, module in pipe.unet.named_modules() if name.endswith(_ENDS)]
    if not layers or any(layer.in_features != context_map.width for layer in layers):
        raise EditError("This pipeline reads text of another width than the edit; use one of SD 1.x or SD 2.x.")
    here = context_map.to(layers[0].weight.device)

    def mapped(layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return here.apply(inputs[0].float()).to(inputs[0].dtype), *inputs[1:]

    hooks = [layer.register_forward_pre_hook(mapped) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
