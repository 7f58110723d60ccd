"""Where a diffusers pipeline's own model reads text: which part of the pipeline it is, which arguments, which layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers import UNet2DConditionModel

from ..editing.assumptions.rows_read import RowsRead
from ..editing.assumptions.text_inputs import TextInputs
from ..editing.errors import EditError, PackedWeightsError
from ..editing.families import FAMILIES
from ..editing.projections import INPUT, POOLED, Projection
from .compiled import original
from .supported import LOAD, LOAD_UNET, check_index
from .weights_in_use import fetched

TEXT = "encoder_hidden_states"
ADDED, ADDED_POOLED = "added_cond_kwargs", "text_embeds"
"""In which argument SDXL's UNet finds its pooled embedding, and under which name there."""
_BASE = ".base_layer"
_CALLED = {"unet": "UNet", "transformer": "transformer"}


@dataclass(frozen=True)
class TextModel:
    """How a class of models takes text.

    Args:
        family: its name in :data:`~..editing.families.FAMILIES`; empty where the width tells.
        position: which argument the text is, where it is given without its name.
        pooled: the argument with the pooled embedding; empty where none is read.
        layer, pooled_layer: the layers through which they enter; empty where cross-attention reads the text.
        argument: the text's.
        norm: the norm that stands before the layer (:mod:`~..editing.assumptions.behind_norm`); empty where none does.
    """

    family: str
    position: int
    pooled: str = ""
    layer: str = ""
    pooled_layer: str = ""
    argument: str = TEXT
    norm: str = ""

    @property
    def norms(self) -> int:
        """How many norms stand before the layer."""
        return 1 if self.norm else 0


_UNET = TextModel("", 2, ADDED)
_TRANSFORMERS: Mapping[str, TextModel] = {
    "PixArtTransformer2DModel": TextModel("PixArt", 1, layer="caption_projection.linear_1"),
    "SD3Transformer2DModel": TextModel(
        "SD3", 1, "pooled_projections", "context_embedder", "time_text_embed.text_embedder.linear_1"
    ),
    "FluxTransformer2DModel": TextModel(
        "Flux", 1, "pooled_projections", "context_embedder", "time_text_embed.text_embedder.linear_1"
    ),
    "Flux2Transformer2DModel": TextModel("Flux.2", 1, layer="context_embedder"),
    "ChromaTransformer2DModel": TextModel("Chroma", 1, layer="context_embedder"),
    "QwenImageTransformer2DModel": TextModel("Qwen-Image", 1, layer="txt_in", norm="txt_norm"),
    "ZImageTransformer2DModel": TextModel(
        "Z-Image or Lumina", 2, layer="cap_embedder.1", argument="cap_feats", norm="cap_embedder.0"
    ),
    "Lumina2Transformer2DModel": TextModel(
        "Z-Image or Lumina", 2, layer="time_caption_embed.caption_embedder.1", norm="time_caption_embed.caption_embedder.0"
    ),
    "WanTransformer3DModel": TextModel("Wan", 2, layer="condition_embedder.text_embedder.linear_1"),
    "LTXVideoTransformer3DModel": TextModel("LTX-Video", 1, layer="caption_projection.linear_1"),
    "AuraFlowTransformer2DModel": TextModel("AuraFlow", 1, layer="context_embedder"),
}


def check_known(index: Mapping[str, Any]) -> None:
    """That a pipeline is of a known family, by its ``model_index.json``, before anything else is loaded.

    Raises:
        EditError: it is not.
    """
    if "transformer" not in index:
        check_index(index)
    elif index["transformer"][1] not in _TRANSFORMERS:
        raise EditError(f"The pipeline {index.get('_class_name')} is of a family that is not known here; {LOAD}.")


def component(pipe: Any) -> str:
    """The name of the part that reads text.

    Raises:
        EditError: it is missing, or reads text in a way that is not known.
    """
    parts = getattr(pipe, "components", {})
    name = "transformer" if "transformer" in parts else "unet"
    if name not in parts:
        raise EditError(f"The pipeline {type(pipe).__name__} is of a family that is not known here; {LOAD}.")
    if parts[name] is None:
        raise EditError(f"This pipeline was loaded without its {_CALLED[name]}; load it with all of its parts.")
    return name


def components(pipe: Any) -> list[str]:
    """The names of all parts that read text: Wan 2.2 has two transformers. Raises :class:`EditError` as :func:`component`."""
    first = component(pipe)
    second = f"{first}_2"
    return [first, second] if getattr(pipe, second, None) is not None else [first]


def text_model(pipe: Any) -> TextModel:
    """How the pipeline's model takes text. Raises :class:`EditError` as :func:`component`."""
    model = original(getattr(pipe, component(pipe)))
    known = _UNET if isinstance(model, UNet2DConditionModel) else _TRANSFORMERS.get(type(model).__name__)
    config: Any = getattr(model, "config", None)
    if known is None or (
        known is _UNET
        and (
            config.encoder_hid_dim_type not in (None, "ip_image_proj")  # an IP-Adapter's pictures come beside the text
            or config.addition_embed_type not in (None, "text_time")
        )
    ):
        raise EditError(f"The diffusion model of {type(pipe).__name__} reads text in a way that is not known here; {LOAD}.")
    return known


def text_unet(pipe: Any) -> Any:
    """The UNet of a pipeline that has one, out of its wrappers. Raises :class:`EditError` as :func:`text_model`."""
    if text_model(pipe) is not _UNET:
        raise EditError(f"The diffusion model of {type(pipe).__name__} is no UNet; {LOAD_UNET}.")
    return original(pipe.unet)


def text_inputs(pipe: Any) -> TextInputs:
    """Where text enters the pipeline's model; its weights are read without adapters.

    Raises:
        EditError: as :func:`text_model`, or the model reads text of a width that is not known.
    """
    known, model = text_model(pipe), original(getattr(pipe, component(pipe)))

    def rows(key: str, every: int) -> torch.Tensor:
        return _rows(model, key, every)

    if known is _UNET:
        return TextInputs.of_shapes(_shapes(model), rows)
    (family,) = (family for family in FAMILIES if family.name == known.family)
    entries = [_entry(family.entry, known.layer, INPUT)]
    if known.pooled_layer:
        entries.append(_entry(family.pooled, known.pooled_layer, POOLED))
    widths = {projection.key: _layer(model, projection.key).in_features for projection in entries}
    width = text_width(pipe)
    if family.width not in (0, width):
        raise EditError(f"This {family.name} model reads text of an unknown width, {width}; {LOAD}.")
    gains = [f"{known.norm}.weight"] if known.norm else []
    return TextInputs(replace(family, width=width), entries, widths, rows, gains, RowsRead(len(gains)))


def text_norms(pipe: Any) -> int:
    """How many norms stand before the layer that text enters through; 0 for a pipeline that has its text encoders alone."""
    return text_model(pipe).norms if pipe.components.get("transformer") is not None else 0


def text_weights(pipe: Any) -> tuple[torch.Tensor, ...]:
    """The weight of every projection of text, (out, width), in float32 on the CPU, without adapters.

    Raises:
        EditError: as :func:`text_inputs`, or a weight is stored packed.
    """
    inputs = text_inputs(pipe)
    return tuple(inputs.weights(one for one in inputs.projections if one.kind != POOLED).values())


def text_width(pipe: Any) -> int:
    """How many numbers a token has in the text that the pipeline's model reads; 0 where its layers disagree."""
    known, model = text_model(pipe), original(getattr(pipe, component(pipe)))
    if known is not _UNET:
        return int(_layer(model, f"{known.layer}.weight").in_features)
    width = model.config.cross_attention_dim
    widths = {*(width if isinstance(width, list | tuple) else [width])}
    return widths.pop() if len(widths) == 1 else 0


def _entry(module: str, layer: str, kind: str) -> Projection:
    return Projection(f"{layer}.weight", module, layer, kind, "input", module.split(".")[0])


def _layer(model: torch.nn.Module, key: str) -> Any:
    layer: Any = model.get_submodule(key.removesuffix(".weight"))
    return layer.get_base_layer() if hasattr(layer, "get_base_layer") else layer


def _shapes(model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    """Name to shape of every weight, as it is without adapters and before it was quantised."""
    shapes = {name.replace(_BASE, ""): tuple(weight.shape) for name, weight in model.named_parameters()}
    linear: dict[str, Any] = {name: layer for name, layer in model.named_modules() if hasattr(layer, "in_features")}
    return shapes | {f"{name}.weight".replace(_BASE, ""): (one.out_features, one.in_features) for name, one in linear.items()}


def _rows(model: torch.nn.Module, key: str, every: int) -> torch.Tensor:
    layer = _layer(model, key)
    with fetched(layer):
        weight: Any = layer.weight.detach()
        if type(weight) is not torch.Tensor and hasattr(weight, "dequantize"):
            weight = weight.dequantize()
        packed = weight.ndim > 1 and weight.shape != (layer.out_features, layer.in_features)
        if packed or not weight.is_floating_point():
            raise PackedWeightsError("This model's weights are stored packed and cannot be read; load it unquantised.")
        rows: torch.Tensor = weight[::every].to("cpu", torch.float32, copy=True)
        return rows
