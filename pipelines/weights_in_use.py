"""A module's weights as it computes with them: fetched where they are offloaded, with its adapters' changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from ..editing.concepts.destinations import sample_digest
from ..editing.errors import EditError

_BASE = ".base_layer"
_ADDED = ("lora_", "hada_", "lokr_")
"""What the weights of PEFT's adapters that add to a weight are called: LoRA, LoHa, LoKr."""


@contextmanager
def fetched(module: torch.nn.Module) -> Iterator[None]:
    """While it is open, weights that accelerate keeps elsewhere are in their places, on the CPU."""
    with ExitStack() as stack:
        for part in module.modules():
            hook = getattr(part, "_hf_hook", None)
            if getattr(hook, "offload", False) is True:
                stack.enter_context(_fetched(part, hook))
        yield


@contextmanager
def _fetched(part: torch.nn.Module, hook: Any) -> Iterator[None]:
    device = hook.execution_device
    try:
        hook.execution_device = torch.device("cpu")
        hook.pre_forward(part)
        yield
    finally:
        hook.post_forward(part, None)
        hook.execution_device = device


def weights_digest(module: torch.nn.Module) -> str:
    """See :func:`~..editing.concepts.destinations.sample_digest`; of an offloaded module, too."""
    with fetched(module):
        return sample_digest(module.parameters())


@torch.no_grad()
def weights_in_use(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Name of each weight, as it is without adapters, to what the module computes with now, in float32; not to be written to.

    Raises:
        EditError: they are stored packed, or an adapter does more than add to a weight.
    """
    with fetched(module):
        weights = {name: tensor for name, tensor in module.state_dict().items() if name.endswith((".weight", ".bias"))}
        if any(not tensor.is_floating_point() for tensor in weights.values()):
            raise EditError("The text encoder's weights are stored packed and cannot be read; load it unquantised.")
        weights = {name: tensor.detach().to(torch.float32) for name, tensor in weights.items()}
        for name, layer in module.named_modules():
            if hasattr(layer, "base_layer"):
                own = {key: weights.pop(key) for key in list(weights) if key.startswith(f"{name}.")}
                base = {key.replace(_BASE, ""): tensor for key, tensor in own.items() if key.startswith(name + _BASE)}
                for change in _adapter_changes(layer):
                    base[f"{name}.weight"] = base[f"{name}.weight"] + change.to(base[f"{name}.weight"])
                weights |= base
    return weights


def _adapter_changes(layer: Any) -> Iterator[torch.Tensor]:
    """What each of a PEFT layer's adapters that are on, and not merged into its weight, adds to it."""
    if layer.disable_adapters:
        return
    holders = {name: getattr(layer, name, {}) for name in layer.adapter_layer_names}
    for adapter in layer.active_adapters:
        names = [name for name, held in holders.items() if adapter in held]
        if not names or adapter in layer.merged_adapters:
            continue
        variant = getattr(layer, "lora_variant", {}).get(adapter) or getattr(layer, "use_dora", {}).get(adapter)
        if variant or not all(name.startswith(_ADDED) for name in names):
            raise EditError(f"The adapter “{adapter}” does more than add to weights; merge it first with pipe.fuse_lora().")
        yield layer.get_delta_weight(adapter)
