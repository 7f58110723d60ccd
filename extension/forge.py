"""Forge: its own patcher, so that offloading and LoRA go on as they are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from backend import memory_management
from backend.patcher.lora import extra_weight_calculators
from backend.text_processing import classic_engine

from ..editing.assumptions.context_map import ContextMap, weight_change
from ..editing.errors import EditError
from .forge_family import ForgeFamily, readable

_KIND = "edit_assumption"
_PLAIN = (torch.float32, torch.float16, torch.bfloat16)


def _calculate(weight: torch.Tensor, strength: float, value: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """W M, called by Forge with its working copy of W."""
    left, right = (memory_management.cast_to_device(factor, weight.device, torch.float32) for factor in value)
    return weight + (strength * weight_change(weight, left, right)).to(weight.dtype)


class Forge(ForgeFamily):
    """See :class:`~.running_host.Host`."""

    def __init__(self) -> None:
        extra_weight_calculators[_KIND] = _calculate

    @contextmanager
    def quiet(self, model: Any) -> Iterator[None]:
        """Embeddings and emphasis of a recipe's prompts are not the picture's."""
        known = dict(classic_engine.last_extra_generation_params)
        try:
            yield
        finally:
            classic_engine.last_extra_generation_params.clear()
            classic_engine.last_extra_generation_params.update(known)

    def weight(self, model: Any, key: str) -> torch.Tensor:
        """The patcher keeps the original of a weight that it has merged into."""
        unet = model.forge_objects.unet
        kept = unet.lora_loader.backup.get(key)
        return readable(unet.model.get_parameter(key) if kept is None else kept)

    @contextmanager
    def edited(self, model: Any, maps: dict[str, list[ContextMap]]) -> Iterator[None]:
        """A clone of the patcher with the maps as patches of a kind of their own, in their order."""
        before = model.forge_objects.unet
        unet = before.clone()
        online = unet.model.storage_dtype not in _PLAIN  # merged, the edit would be rounded to what is stored
        for turn in range(max(map(len, maps.values()), default=0)):
            named = {key: wanted[turn] for key, wanted in maps.items() if len(wanted) > turn}
            patches = {key: (_KIND, (context_map.left, context_map.right)) for key, context_map in named.items()}
            done = unet.add_patches(filename=f"{_KIND} {turn} {_digest(named)}", patches=patches, online_mode=online)
            if set(done) != set(patches):
                raise EditError("The WebUI did not accept the patch on every projection; load the model unquantised.")
        model.forge_objects.unet = unet
        try:
            yield
        finally:
            model.forge_objects.unet = before


def _digest(named: dict[str, ContextMap]) -> str:
    """The patcher tells patches apart by their name, so it says what is in them."""
    digest = hashlib.sha256(" ".join(sorted(named)).encode())
    for context_map in {id(context_map): context_map for context_map in named.values()}.values():
        for factor in (context_map.left, context_map.right):
            digest.update(factor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:20]
