"""Forge: its own patcher, so that offloading and LoRA go on as they are."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from backend import memory_management
from backend.patcher.lora import extra_weight_calculators
from backend.text_processing import classic_engine
from modules import sd_models, shared

from ..editing.assumptions.context_map import ContextMap, weight_change
from ..editing.concepts.text_encoder import NAMES
from ..editing.errors import EditError, PackedWeightsError
from .input_maps import mapped_inputs

_KIND = "edit_assumption"
_PLAIN = (torch.float32, torch.float16, torch.bfloat16)
_PREFIX = "diffusion_model."


def _calculate(weight: torch.Tensor, strength: float, value: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """W M, called by Forge with its working copy of W."""
    left, right = (memory_management.cast_to_device(factor, weight.device, torch.float32) for factor in value)
    return weight + (strength * weight_change(weight, left, right)).to(weight.dtype)


class Forge:
    """See :class:`~.running_host.Host`."""

    def __init__(self) -> None:
        extra_weight_calculators[_KIND] = _calculate

    def loaded_model(self) -> Any:
        """Forge loads at the first generation after a checkpoint was chosen, or here."""
        sd_models.forge_model_reload()
        return shared.sd_model

    def text_engine(self, model: Any) -> Any:
        """Of SDXL's two, which cut prompts alike, the first."""
        names = ("text_processing_engine", "text_processing_engine_l")
        engines = [getattr(model, name) for name in names if hasattr(model, name)]
        if not engines or not hasattr(engines[0], "process_texts") or hasattr(model, "text_processing_engine_t5"):
            raise EditError("This model's text encoder is not known here; load an SD 1.x, SD 2.x or SDXL checkpoint.")
        return engines[0]

    def text_layers(self, model: Any) -> dict[str, Sequence[torch.nn.Module]]:
        """Forge's names are ours."""
        encoders = model.forge_objects.clip.cond_stage_model.named_children()
        return {name: encoder.transformer.text_model.encoder.layers if name in NAMES else () for name, encoder in encoders}

    def pieces(self, engine: Any, ids: list[int]) -> list[str]:
        """By transformers' tokenizer."""
        return list(engine.tokenizer.convert_ids_to_tokens(ids))

    def vocabulary(self, engine: Any) -> dict[str, int]:
        """By transformers' tokenizer."""
        return engine.tokenizer.get_vocab()

    @contextmanager
    def quiet(self, model: Any) -> Iterator[None]:
        """Embeddings and emphasis of a recipe's prompts are not the picture's."""
        known = dict(classic_engine.last_extra_generation_params)
        try:
            yield
        finally:
            classic_engine.last_extra_generation_params.clear()
            classic_engine.last_extra_generation_params.update(known)

    def shapes(self, model: Any) -> dict[str, tuple[int, ...]]:
        """GGUF's and bitsandbytes' weights tell the shape of what they stand for."""
        named = model.forge_objects.unet.model.diffusion_model.named_parameters()
        return {_PREFIX + name: tuple(getattr(weight, "real_shape", weight.shape)) for name, weight in named}

    def weight(self, model: Any, key: str) -> torch.Tensor:
        """The patcher keeps the original of a weight that it has merged into."""
        unet = model.forge_objects.unet
        kept = unet.lora_loader.backup.get(key)
        weight = unet.model.get_parameter(key) if kept is None else kept
        if not weight.is_floating_point() or hasattr(weight, "gguf_cls") or hasattr(weight, "bnb_quantized"):
            raise PackedWeightsError("This model's weights are packed and cannot be read; load it unquantised or in fp8.")
        return weight.detach()

    @contextmanager
    def edited(self, model: Any, maps: dict[str, list[ContextMap]]) -> Iterator[None]:
        """A clone of the patcher with the maps as patches of a kind of their own, in their order."""
        before = model.forge_objects.unet
        if "filename" not in inspect.signature(before.add_patches).parameters:
            # Forge's relatives that went back to ComfyUI's patcher do not know our kind of patch.
            with mapped_inputs(before.model, maps):
                yield
            return
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
