"""Where text enters each model family, by module name.

A projection is a cross-attention layer's ``to_k`` or ``to_v``. Both naming schemes are known: LDM's, which ComfyUI and
A1111 keep (``input_blocks.1.1.transformer_blocks.0.attn2.to_k``), and diffusers'
(``down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k``), each with any prefix.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .errors import EditError

_NAME = re.compile(
    r"(?:^|\.)(?P<module>(?P<block>(?P<part>input|output|middle|down|up|mid)_blocks?(?:\.\d+)?)\."
    r"(?:.*\.)?transformer_blocks\.\d+\.attn2\.to_(?P<kind>[kv]))(?:\.weight)?$"
)
_VIDEO = ("time_stack.", "temporal_transformer_blocks.", "motion_modules.")
_PARTS = {"input": "down", "output": "up", "middle": "mid", "down": "down", "up": "up", "mid": "mid"}
OTHER_MODELS = "Edit Assumption knows where text enters SD 1.x, SD 2.x and SDXL models (SSD-1B, Vega and KOALA among them)"


@dataclass(frozen=True)
class Family:
    """Models that read text of one width.

    Args:
        name: as users call it.
        width: numbers per token that its projections read.
        base_model: kohya's ``ss_base_model_version``.
        architecture: the ``modelspec.architecture`` of its LoRA files.
        diffusers_lora_names: whether kohya's LoRA files name its layers as diffusers does (else as LDM does).
    """

    name: str
    width: int
    base_model: str
    architecture: str
    diffusers_lora_names: bool


FAMILIES = (
    Family("SD 1.x", 768, "sd_v1", "stable-diffusion-v1/lora", True),
    Family("SD 2.x", 1024, "sd_v2", "stable-diffusion-v2/lora", True),
    Family("SDXL", 2048, "sdxl_base_v1-0", "stable-diffusion-xl-v1-base/lora", False),
    Family("pocket", 128, "edit-assumption-pocket", "edit-assumption-pocket/lora", True),
)


@dataclass(frozen=True)
class Projection:
    """One ``to_k`` or ``to_v``.

    Args:
        key: the host's own name of it, as it was handed in.
        module: its name inside the UNet, without prefix and ``.weight``.
        diffusers_module: the same module as diffusers names it.
        kind: "keys" or "values".
        part: "down", "mid" or "up".
        block: the block's own name, such as ``input_blocks.4`` or ``down_blocks.1``.
    """

    key: str
    module: str
    diffusers_module: str
    kind: str
    part: str
    block: str


def family_of(width: int) -> Family:
    """The family whose projections read ``width`` numbers a token. Raises :class:`EditError` for an unknown width."""
    for family in FAMILIES:
        if family.width == width:
            return family
    raise EditError(f"This model reads text of width {width}. {OTHER_MODELS}; load one of these.")


def find(shapes: Mapping[str, Sequence[int]]) -> tuple[Family, list[Projection]]:
    """Every projection among a model's weights.

    Args:
        shapes: name of every weight to its shape, (out, width) for a projection.

    Raises:
        EditError: no text enters here that the table knows, or it enters in several widths.
    """
    matches = {key: match for key in shapes if (match := _NAME.search(key))}
    if any(mark in key for key in shapes for mark in _VIDEO):
        raise EditError(f"This is a video model, which no edit is known for. {OTHER_MODELS}; load one of these.")
    if not matches:
        raise EditError(f"This model has no cross-attention that reads text. {OTHER_MODELS}; load one of these.")
    widths = {shapes[key][-1] if len(shapes[key]) == 2 else 0 for key in matches}
    if len(widths) > 1 or 0 in widths:
        raise EditError("This model's text projections are stored packed or in several sizes; load it unquantised or in fp8.")
    stride = _level_stride(shapes)
    found = [
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
    return family_of(widths.pop()), found


def select(found: Iterable[Projection], projections: str = "keys and values", blocks: Iterable[str] = ()) -> list[Projection]:
    """The projections that a recipe names.

    Args:
        found: all of a model's.
        projections: "keys and values", "values" or "keys".
        blocks: "down", "mid", "up" or blocks by their own name (``output_blocks.3``); empty means all.

    Raises:
        EditError: a name in ``blocks`` matches nothing.
    """
    found = list(found)
    blocks = list(blocks)
    known = {name for projection in found for name in (projection.part, projection.block)}
    for block in blocks:
        if block not in known:
            raise EditError(f"This model has no text projections in a block “{block}”; choose from {', '.join(sorted(known))}.")
    return [
        projection
        for projection in found
        if projection.kind in projections and (not blocks or {projection.part, projection.block} & set(blocks))
    ]


def lora_name(projection: Projection, family: Family) -> str:
    """The layer's name in a kohya LoRA file, such as ``lora_unet_down_blocks_0_attentions_0_…_attn2_to_k``."""
    module = projection.diffusers_module if family.diffusers_lora_names else projection.module
    return "lora_unet_" + module.replace(".", "_")


def _level_stride(names: Iterable[str]) -> int:
    """How many of LDM's numbered blocks a resolution level has: one more than its residual blocks, 3 in most models.

    Read off the first downsampling block, ``input_blocks.3.0.op``.
    """
    found = [int(match[1]) for name in names if (match := re.search(r"input_blocks\.(\d+)\.0\.op\.", name))]
    return min(found, default=3)


def _diffusers_name(module: str, stride: int) -> str:
    match = re.match(r"(input_blocks|output_blocks)\.(\d+)\.1\.(.*)", module)
    if match:
        down = match[1] == "input_blocks"
        level, attention = divmod(int(match[2]) - down, stride)
        return f"{'down' if down else 'up'}_blocks.{level}.attentions.{attention}.{match[3]}"
    return re.sub(r"^middle_block\.1\.", "mid_block.attentions.0.", module)
