"""Where text enters each model family, by module name.

In models with a UNet a projection is a cross-attention layer's ``to_k`` or ``to_v``. Both naming schemes are known: LDM's,
which ComfyUI and A1111 keep (``input_blocks.1.1.transformer_blocks.0.attn2.to_k``), and diffusers'
(``down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k``), each with any prefix.

Diffusion transformers have one layer through which all text enters before the blocks: there it is this layer. Its bias stays,
since W M c + b is what W c* + b was; from the source's tokens on everything is as it was from the destination's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from .errors import EditError, UnknownModelError
from .families import FAMILIES, Family

_NAME = re.compile(
    r"(?:^|\.)(?P<module>(?P<block>(?P<part>input|output|middle|down|up|mid)_blocks?(?:\.\d+)?)\."
    r"(?:.*\.)?transformer_blocks\.\d+\.attn2\.to_(?P<kind>[kv]))(?:\.weight)?$"
)
_VIDEO = ("time_stack.", "temporal_transformer_blocks.", "motion_modules.")
_PARTS = {"input": "down", "output": "up", "middle": "mid", "down": "down", "up": "up", "mid": "mid"}
OTHER_MODELS = (
    "Edit Assumption knows where text enters SD 1.x, SD 2.x, SDXL (SSD-1B, Vega and KOALA among them), PixArt, SD3 and Flux"
)
INPUT = "text input"
"""The kind of a projection through which all text enters."""
POOLED = "pooled input"
"""The kind of a layer that reads the prompt's pooled embedding, in the first columns of its weight."""


@dataclass(frozen=True)
class Projection:
    """One ``to_k`` or ``to_v``, the layer through which all text enters, or the one that reads the pooled embedding.

    Args:
        key: the host's own name of it, as it was handed in.
        module: its name inside the UNet, without prefix and ``.weight``.
        diffusers_module: the same module as diffusers names it.
        kind: "keys", "values", :data:`INPUT` or :data:`POOLED`.
        part: "down", "mid", "up", "blocks" of a transformer, or "input" of a text input or pooled input.
        block: the block's own name, such as ``input_blocks.4``, ``down_blocks.1`` or ``blocks.7``.
    """

    key: str
    module: str
    diffusers_module: str
    kind: str
    part: str
    block: str


def families_of(width: int, known: Iterable[Family] = FAMILIES) -> list[Family]:
    """Of the known families those that read text of ``width`` numbers a token. Raises :class:`EditError` if there are none."""
    fitting = [family for family in known if width and family.width == width]
    if not fitting:
        raise UnknownModelError(f"This model reads text of width {width}. {OTHER_MODELS}; load one of these.")
    return fitting


def find(shapes: Mapping[str, Sequence[int]]) -> tuple[Family, list[Projection]]:
    """Every projection among a model's weights.

    Args:
        shapes: name of every weight to its shape, (out, width) for a projection.

    Raises:
        EditError: no text enters here that the table knows, or it enters in several widths.
    """
    matches = {key: match for key in shapes if (match := _NAME.search(key))}
    if any(mark in key for key in shapes for mark in _VIDEO):
        raise UnknownModelError(f"This is a video model, which no edit is known for. {OTHER_MODELS}; load one of these.")
    if not matches:
        return _find_entry(shapes)
    widths = {shapes[key][-1] if len(shapes[key]) == 2 else 0 for key in matches}
    if len(widths) > 1 or 0 in widths:
        raise EditError("This model's text projections are stored packed or in several sizes; load it unquantised or in fp8.")
    stride = _level_stride(shapes)
    projections = [
        Projection(
            key=key,
            module=match["module"],
            diffusers_module=_diffusers_name(match["module"], stride),
            kind="keys" if match["kind"] == "k" else "values",
            part=_PARTS[match["part"]],
            block=match["block"],
        )
        for key, match in matches.items()
    ]
    (family,) = families_of(widths.pop(), [family for family in FAMILIES if not family.mark])
    return family, [*projections, *_pooled_input(shapes, family)]


def _find_entry(shapes: Mapping[str, Sequence[int]]) -> tuple[Family, list[Projection]]:
    for family in (family for family in FAMILIES if family.mark):
        entry = family.entry
        keys = _keys_of(shapes, entry) if entry else [projection.key for projection in cross_attention(shapes, family)]
        if not keys or not any(family.mark in key for key in shapes):
            continue
        if family.lacks and any(family.lacks in key for key in shapes):
            continue
        if not entry:
            return _read_by_blocks(shapes, family)
        shape = tuple(shapes[keys[0]])
        if not family.width and len(shape) == 2:
            family = replace(family, width=shape[1])
        more = _keys_of(shapes, family.beside) if family.beside else []
        if len(keys) > 1 or any(tuple(shapes[key])[1:] != (family.width,) for key in (*keys, *more)):
            raise EditError(f"The text input of this {family.name} model is stored packed; load it unquantised or in fp8.")
        inputs = [_whole_layer(keys[0], entry, INPUT), *(_whole_layer(key, family.beside, INPUT) for key in more)]
        return family, [*inputs, *_pooled_input(shapes, family)]
    raise UnknownModelError(f"This model has no place where text enters that is known. {OTHER_MODELS}; load one of these.")


def _read_by_blocks(shapes: Mapping[str, Sequence[int]], family: Family) -> tuple[Family, list[Projection]]:
    projections = cross_attention(shapes, family)
    widths = {shapes[projection.key][-1] if len(shapes[projection.key]) == 2 else 0 for projection in projections}
    if len(widths) > 1 or 0 in widths:
        raise EditError(f"The text projections of this {family.name} model are stored packed; load it unquantised or in fp8.")
    return replace(family, width=widths.pop()), projections


def cross_attention(shapes: Mapping[str, Sequence[int]], family: Family) -> list[Projection]:
    """The keys and values of a transformer's blocks; none where its blocks do not read text."""
    layers = {layer: kind for layer, kind in ((family.keys, "keys"), (family.values, "values")) if layer}
    pattern = re.compile(
        rf"(?:^|\b(?:diffusion_model|net)\.)(?P<module>(?P<block>(?:vace_)?blocks\.\d+)\."
        rf"(?P<layer>{'|'.join(map(re.escape, layers))}))(?:\.weight)?$"
    )
    matches = {key: match for key in shapes if layers and (match := pattern.search(key))}
    return [
        Projection(key, match["module"], match["module"], layers[match["layer"]], "blocks", match["block"])
        for key, match in matches.items()
    ]


def norms_of(shapes: Mapping[str, Sequence[int]], family: Family) -> list[str]:
    """The weights of the norms that stand before a family's entry, in the order of the parts of a row that they read."""
    pattern = re.compile(rf"(?:^|\.){re.escape(family.norm)}(?:\.(\d+))?\.weight$")
    matches = {key: match for key in shapes if family.norm and (match := pattern.search(key))}
    return sorted(matches, key=lambda key: int(matches[key][1] or 0))


def _keys_of(shapes: Mapping[str, Sequence[int]], layer: str) -> list[str]:
    return [key for key in shapes if re.search(rf"(?:^|\.){re.escape(layer)}(?:\.weight)?$", key)]


def _whole_layer(key: str, layer: str, kind: str) -> Projection:
    return Projection(key, layer, layer, kind, "input", layer.split(".")[0])


def _pooled_input(shapes: Mapping[str, Sequence[int]], family: Family) -> list[Projection]:
    names = [name for name in (family.pooled, family.diffusers_pooled) if name]
    keys = [key for name in names for key in _keys_of(shapes, name)]
    return [_whole_layer(key, family.pooled, POOLED) for key in keys if len(shapes[key]) == 2]


def select(
    candidates: Iterable[Projection],
    projections: str = "keys and values",
    blocks: Iterable[str] = (),
    pooled: bool = False,
) -> list[Projection]:
    """The projections that a recipe names.

    Args:
        candidates: all of a model's.
        projections: "keys and values", "values" or "keys".
        blocks: "down", "mid", "up" or blocks by their own name (``output_blocks.3``); empty means all.
        pooled: the layer that reads the pooled embedding, too, whatever the blocks.

    Raises:
        EditError: a name in ``blocks`` matches nothing, keys and values cannot be told apart, or nothing reads the pooled
            embedding.
    """
    every = list(candidates)
    extra = [projection for projection in every if pooled and projection.kind == POOLED]
    if pooled and not extra:
        raise EditError("This model reads no pooled embedding that could be edited; switch “pooled” off.")
    token_projections = [projection for projection in every if projection.kind != POOLED]
    if projections != "keys and values" and any(projection.kind == INPUT for projection in token_projections):
        raise EditError("In this model keys and values read text through one layer; choose “keys and values”.")
    blocks = list(blocks)
    known = {name for projection in token_projections for name in (projection.part, projection.block)}
    for block in blocks:
        if block not in known:
            raise EditError(f"This model has no text projections in a block “{block}”; choose from {', '.join(sorted(known))}.")
    kinds = (INPUT, *projections.split(" and "))
    return [
        projection
        for projection in token_projections
        if projection.kind in kinds and (not blocks or {projection.part, projection.block} & set(blocks))
    ] + extra


def lora_name(projection: Projection, family: Family) -> str:
    """The layer's name in a LoRA file: kohya's, such as ``lora_unet_down_blocks_0_attentions_0_…_attn2_to_k``, or the one by
    which ComfyUI knows every layer, such as ``diffusion_model.txt_in``."""
    if family.plain_names:
        return f"diffusion_model.{projection.module}"
    module = projection.diffusers_module if family.diffusers_lora_names else projection.module
    return "lora_unet_" + module.replace(".", "_")


def _level_stride(names: Iterable[str]) -> int:
    """How many of LDM's numbered blocks a resolution level has: one more than its residual blocks, 3 in most models.

    Read off the first downsampling block, ``input_blocks.3.0.op``.
    """
    downsampling = [int(match[1]) for name in names if (match := re.search(r"input_blocks\.(\d+)\.0\.op\.", name))]
    return min(downsampling, default=3)


def _diffusers_name(module: str, stride: int) -> str:
    match = re.match(r"(input_blocks|output_blocks)\.(\d+)\.1\.(.*)", module)
    if match:
        down = match[1] == "input_blocks"
        level, attention = divmod(int(match[2]) - down, stride)
        return f"{'down' if down else 'up'}_blocks.{level}.attentions.{attention}.{match[3]}"
    return re.sub(r"^middle_block\.1\.", "mid_block.attentions.0.", module)
