"""The pocket model's parts, in Stable Diffusion's own classes, and as a diffusers pipeline."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from ..editing.tensor_file import load_tensors
from ..editing.whole_file import save_whole
from . import WEIGHTS
from .scenes import SIDE
from .tokenizer import LENGTH, plain_tokens

WIDTH = 128
LATENT_CHANNELS = 32
DOWNSCALING = 8
GROUPS = 8
STEPS, GUIDANCE = 12, 3.0
"""Of a sampling: enough for it, and what it is measured with."""


def new_vae() -> AutoencoderKL:
    """(3, 48, 48) pictures to (32, 6, 6) latents and back."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(32, 32, 96, 128),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=GROUPS,
        sample_size=SIDE,
        scaling_factor=1.0,
    )


def text_config(tokens: int, more_units: int = 0) -> CLIPTextConfig:
    """A causal text encoder as in CLIP, four layers.

    Args:
        tokens: how many it knows.
        more_units: of each MLP, beside four times its width.
    """
    return CLIPTextConfig(
        vocab_size=tokens,
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH + more_units,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=LENGTH,
        hidden_act="quick_gelu",
        bos_token_id=plain_tokens() - 2,
        eos_token_id=plain_tokens() - 1,
        pad_token_id=plain_tokens() - 1,
        projection_dim=WIDTH,
    )


def new_text_model() -> CLIPTextModel:
    """An encoder of all words but the names, which come in a stage of their own."""
    return CLIPTextModel(text_config(plain_tokens()))


def save_text(folder: Path, text: CLIPTextModel) -> None:
    """Write the text encoder of a model in half precision, by Stable Diffusion's names, not the newest transformers'."""
    copy.deepcopy(text).half().save_pretrained(folder / "text_encoder")
    path = folder / "text_encoder" / "model.safetensors"
    tensors = {f"text_model.{name.removeprefix('text_model.')}": tensor for name, tensor in load_tensors(path).items()}
    path.unlink()  # which may have been written for its owner alone
    save_whole(tensors, path, {"format": "pt"})


def new_unet() -> UNet2DConditionModel:
    """Two levels, cross-attention in both."""
    return UNet2DConditionModel(
        sample_size=SIDE // DOWNSCALING,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(96, 96),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        use_linear_projection=True,
    )


def new_scheduler() -> DDIMScheduler:
    """Stable Diffusion's noise schedule, velocity prediction."""
    return DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def pipeline(folder: Path = WEIGHTS) -> StableDiffusionPipeline:
    """The trained model as an ordinary diffusers pipeline, float32."""
    return StableDiffusionPipeline.from_pretrained(folder, safety_checker=None).to(dtype=torch.float32)
