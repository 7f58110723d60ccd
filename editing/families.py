"""The families of models that edits know, and where text enters each, by the names of ComfyUI's modules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


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
