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
from typing import Any

from .errors import EditError, UnknownModelError

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
class Family:
    """Models that read text of one width.

    Args:
        name: as users call it.
        width: numbers per token that its projections read; 0 where models of the family differ, and the weights say it.
        base_model: kohya's ``ss_base_model_version``.
        architecture: the ``modelspec.architecture`` of its LoRA files.
        diffusers_lora_names: whether kohya's LoRA files name its layers as diffusers does (else as LDM does).
        entry: the layer through which all text enters; empty where cross-attention reads it.
        mark: a part of a layer's name by which a model with such an entry is known.
        lacks: a part of a name that no layer of such a model has.
        beside: another layer that reads the same text.
        behind: the layer behind the entry and a GELU (tanh) that hands the text on to the keys and values of all blocks.
        keys, values: layers of every ``blocks.N`` that read text as a UNet's ``to_k`` and ``to_v`` do.
        norm: the norm that stands before that entry, or several, numbered, each of which reads its part of a row; a token's
            length does not reach the entry, so edits are solved behind it.
        centred: whether that norm's weights are stored less 1.
        pooled: the layer that reads the pooled embedding; empty where none does.
        diffusers_pooled: what diffusers calls that layer, where the name is another one.
        pooled_width: how many numbers the pooled embedding has; 0 where none is read.
        encoders: its CLIP text encoders (:data:`~.concepts.text_encoder.NAMES`), in the order of their embeddings; empty for
            families whose text encoders concept edits do not know.
        latent_side: height and width of the latents that it was trained on; 0 where concept edits do not know the model.
        experimental: whether the family has been tried on the host's classes only.
        by_text: whether its prompts are edited before the model reads them, where one has the choice.
        own_layers: whether layers of the model's own make rows of the prompt before keys and values read it.
        plain_names: whether its LoRA files name layers as ComfyUI does, with ``diffusion_model.`` before them.
        once: whether its entry runs once a sampling in ComfyUI, so that no hook that comes and goes between steps reaches it.
    """

    name: str
    width: int
    base_model: str
    architecture: str
    diffusers_lora_names: bool = False
    entry: str = ""
    mark: str = ""
    lacks: str = ""
    beside: str = ""
    behind: str = ""
    keys: str = ""
    values: str = ""
    norm: str = ""
    centred: bool = False
    pooled: str = ""
    diffusers_pooled: str = ""
    pooled_width: int = 0
    encoders: tuple[str, ...] = ()
    latent_side: int = 0
    experimental: bool = False
    by_text: bool = False
    own_layers: bool = False
    plain_names: bool = False
    once: bool = False


def _by_text(name: str, entry: str, mark: str, pooled: str = "", **details: Any) -> Family:
    """A family whose prompts are edited before the model reads them, unless a LoRA or a checkpoint is to hold the edit."""
    details = {"by_text": True, **details}
    label = name.lower().replace(" ", "-")
    return Family(
        name,
        0,
        label,
        f"{label}/lora",
        entry=entry,
        mark=mark,
        pooled=pooled,
        pooled_width=768 if pooled else 0,
        experimental=True,
        plain_names=True,
        **details,
    )


POCKET = Family(
    "pocket", 128, "edit-assumption-pocket", "edit-assumption-pocket/lora", True, encoders=("clip_l",), latent_side=6
)
"""The bundled model, which reads captions of its own and no plain English."""
FAMILIES = (
    Family("SD 1.x", 768, "sd_v1", "stable-diffusion-v1/lora", True, encoders=("clip_l",), latent_side=64),
    Family("SD 2.x", 1024, "sd_v2", "stable-diffusion-v2/lora", True, encoders=("clip_h",), latent_side=96),
    Family(
        "SDXL",
        2048,
        "sdxl_base_v1-0",
        "stable-diffusion-xl-v1-base/lora",
        pooled="label_emb.0.0",
        diffusers_pooled="add_embedding.linear_1",
        pooled_width=1280,
        encoders=("clip_l", "clip_g"),
        latent_side=128,
    ),
    POCKET,
    Family("PixArt", 4096, "pixart", "pixart/lora", entry="y_embedder.y_proj.fc1", mark=".cross_attn.kv_linear."),
    Family(
        "SD3",
        4096,
        "sd3m",
        "stable-diffusion-3-medium/lora",
        entry="context_embedder",
        mark="joint_blocks.",
        pooled="y_embedder.mlp.0",
        pooled_width=2048,
        experimental=True,
    ),
    Family(
        "Flux",
        4096,
        "flux1",
        "flux-1-dev/lora",
        entry="txt_in",
        mark="vector_in.in_layer.",
        pooled="vector_in.in_layer",
        pooled_width=768,
        experimental=True,
    ),
    _by_text("Flux.2", "txt_in", "double_stream_modulation_img."),
    _by_text("Chroma", "txt_in", "distilled_guidance_layer."),
    _by_text("Lens", "txt_in", "txt_norm.0.", norm="txt_norm"),
    _by_text("Qwen-Image 2.1", "txt_in.in_layer", "txt_in.text_norm.", norm="txt_in.text_norm", centred=True),
    _by_text("Qwen-Image", "txt_in", "txt_norm.", norm="txt_norm"),
    _by_text("LongCat-Image", "txt_in", "double_blocks."),
    _by_text("Z-Image or Lumina", "cap_embedder.1", "context_refiner.", norm="cap_embedder.0"),
    _by_text(
        "Wan", "text_embedding.0", "time_projection.", behind="text_embedding.2", keys="cross_attn.k", values="cross_attn.v"
    ),
    _by_text("Anima", "", "llm_adapter.", keys="cross_attn.k_proj", values="cross_attn.v_proj", own_layers=True, by_text=False),
    _by_text("Cosmos Predict2", "", "adaln_modulation_cross_attn.", keys="cross_attn.k_proj", values="cross_attn.v_proj"),
    _by_text("MiniMax H3", "condition_proj", "token_refiner.", once=True),
    _by_text("LTX-Video", "caption_projection.linear_1", "patchify_proj.", lacks="audio_"),
    _by_text("AuraFlow", "cond_seq_linear", "double_layers."),
    _by_text("Kandinsky 5", "text_embeddings.in_layer", "visual_embeddings.", pooled="pooled_text_embeddings.in_layer"),
    _by_text("ERNIE-Image", "text_proj", "adaLN_modulation."),
    _by_text("JoyImage", "condition_embedder.text_embedder.linear_1", "double_blocks."),
    _by_text("Ideogram 4", "llm_cond_proj", "llm_cond_norm.", norm="llm_cond_norm"),
    _by_text(
        "OmniGen2 or Boogu",
        "time_caption_embed.caption_embedder.1",
        "ref_image_refiner.",
        norm="time_caption_embed.caption_embedder.0",
    ),
    _by_text("PixelDiT", "y_embedder.proj", "pixel_embedder."),
    _by_text(
        "Hunyuan Video", "txt_in.input_embedder", "double_blocks.", "vector_in.in_layer", beside="txt_in.c_embedder.in_layer"
    ),
)


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
