"""The project's own small model in ComfyUI's classes, so that an edit can be seen with no checkpoint at all."""

from __future__ import annotations

import json
from typing import Any

import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models_base
import comfy.utils
import folder_paths
import torch
from comfy_api.latest import io

from ..editing.errors import EditError
from ..editing.tensor_file import load_tensors
from ..pocket import WEIGHTS
from .comfy.schemas import schema

_EMBEDDINGS = "text_model.embeddings.token_embedding.weight"


def _part(name: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Configuration and weights of a part of the diffusers model."""
    folder = WEIGHTS / name
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise EditError("The pocket model's files are missing; install Edit Assumption again.")
    return json.loads((folder / "config.json").read_text(encoding="utf-8")), load_tensors(files[0])


def _latent_format(vae: dict[str, Any]) -> type[comfy.latent_formats.LatentFormat]:
    class PocketLatents(comfy.latent_formats.LatentFormat):
        latent_channels = vae["latent_channels"]
        scale_factor = vae["scaling_factor"]

    return PocketLatents


def load_model(disable_dynamic: bool = False) -> comfy.model_patcher.ModelPatcher:
    """The UNet, its keys named as ComfyUI names them, by ComfyUI's own table.

    Args:
        disable_dynamic: as ComfyUI asks for it when it loads the model anew; it is small, and never dynamic.
    """
    config, weights = _part("unet")
    channels, levels = config["block_out_channels"], len(config["block_out_channels"])
    layers, heads = config["layers_per_block"], config["attention_head_dim"]

    class PocketModel(comfy.supported_models_base.BASE):
        latent_format = _latent_format(_part("vae")[0])
        unet_extra_config = {"num_heads": heads, "num_head_channels": -1}  # noqa: RUF012

        def model_type(self, state_dict: Any, prefix: str = "") -> comfy.model_base.ModelType:
            return comfy.model_base.ModelType.V_PREDICTION

        def inpaint_model(self) -> bool:
            return False

    settings = PocketModel(
        {
            "image_size": config["sample_size"],
            "in_channels": config["in_channels"],
            "out_channels": config["out_channels"],
            "model_channels": channels[0],
            "channel_mult": [size // channels[0] for size in channels],
            "num_res_blocks": [layers] * levels,
            "transformer_depth": [1] * (layers * levels),
            "transformer_depth_output": [1] * ((layers + 1) * levels),
            "transformer_depth_middle": 1,
            "use_linear_in_transformer": config["use_linear_projection"],
            "context_dim": config["cross_attention_dim"],
            "adm_in_channels": None,
            "use_spatial_transformer": True,
            "use_temporal_attention": False,
            "legacy": False,
        }
    )
    settings.set_inference_dtype(torch.float32, None)
    names = comfy.utils.unet_to_diffusers(settings.unet_config)
    model = settings.get_model({}, device=torch.device("cpu"))
    model.load_model_weights({names[key]: tensor for key, tensor in weights.items()}, "")
    device = comfy.model_management.get_torch_device()
    patcher = comfy.model_patcher.ModelPatcher(model, device, comfy.model_management.unet_offload_device())
    patcher.cached_patcher_init = load_model, ()
    return patcher


def load_clip(disable_dynamic: bool = False) -> comfy.sd.CLIP:
    """The text encoder and its tokenizer.

    Args:
        disable_dynamic: whether it must not be loaded with dynamic VRAM, which has no hooks; only newer hosts ask.
    """
    config, weights = _part("text_encoder")
    length = config["max_position_embeddings"]
    special = {"start": config["bos_token_id"], "end": config["eos_token_id"], "pad": config["eos_token_id"]}

    class PocketClip(comfy.sd1_clip.SDClipModel):
        def __init__(self, device: Any = "cpu", dtype: Any = None, model_options: Any = None) -> None:
            super().__init__(
                device=device, dtype=dtype, model_options=model_options or {}, max_length=length,
                textmodel_json_config=dict(config), special_tokens=special, return_projected_pooled=False,
            )  # fmt: skip

    class PocketClipModel(comfy.sd1_clip.SD1ClipModel):
        def __init__(self, device: Any = "cpu", dtype: Any = None, model_options: Any = None) -> None:
            super().__init__(device=device, dtype=dtype, model_options=model_options or {}, clip_model=PocketClip)

    class PocketWords(comfy.sd1_clip.SDTokenizer):
        def __init__(self, embedding_directory: Any = None, tokenizer_data: Any = None) -> None:
            super().__init__(
                str(WEIGHTS / "tokenizer"), max_length=length, embedding_directory=embedding_directory,
                embedding_size=config["hidden_size"], tokenizer_data=tokenizer_data or {},
            )  # fmt: skip

    class PocketTokenizer(comfy.sd1_clip.SD1Tokenizer):
        def __init__(self, embedding_directory: Any = None, tokenizer_data: Any = None) -> None:
            super().__init__(embedding_directory, tokenizer_data or {}, tokenizer=PocketWords)

    target = comfy.supported_models_base.ClipTarget(PocketTokenizer, PocketClipModel)
    clip = comfy.sd.CLIP(
        target, embedding_directory=folder_paths.get_folder_paths("embeddings"), model_options={"dtype": torch.float32},
        **({"disable_dynamic": True} if disable_dynamic else {}),
    )  # fmt: skip
    clip.patcher.cached_patcher_init = _load_clip_patcher, ()
    # ComfyUI always makes room for CLIP's own 49408 tokens; what is beyond this vocabulary is never asked for.
    room = clip.cond_stage_model.clip_l.transformer.get_input_embeddings().weight.shape[0]
    embeddings = weights[_EMBEDDINGS]
    weights[_EMBEDDINGS] = torch.nn.functional.pad(embeddings, (0, 0, 0, room - len(embeddings)))
    clip.load_sd(weights)
    return clip


def _load_clip_patcher(disable_dynamic: bool = False) -> comfy.model_patcher.ModelPatcher:
    return load_clip(disable_dynamic).patcher


def load_vae() -> comfy.sd.VAE:
    """The autoencoder. ComfyUI builds it with 32 groups in its normalisations; this one has fewer."""
    config, weights = _part("vae")
    channels = config["block_out_channels"]
    details = {
        "double_z": True,
        "z_channels": config["latent_channels"],
        "resolution": config["sample_size"],
        "in_channels": 3,
        "out_ch": 3,
        "ch": channels[0],
        "ch_mult": [size // channels[0] for size in channels],
        "num_res_blocks": config["layers_per_block"],
        "attn_resolutions": [],
        "dropout": 0.0,
    }
    vae = comfy.sd.VAE(
        sd=weights, config={"params": {"ddconfig": details, "embed_dim": config["latent_channels"]}}, dtype=torch.float32
    )
    vae.latent_channels = config["latent_channels"]
    for module in vae.first_stage_model.modules():
        if isinstance(module, torch.nn.GroupNorm):
            module.num_groups = config["norm_num_groups"]
    return vae


class LoadPocketModel(io.ComfyNode):
    """MODEL, CLIP and VAE without a checkpoint."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            reports=False,
            node_id="EditAssumptionLoadPocketModel",
            display_name="Load Pocket Model",
            description="Loads the small model that comes with Edit Assumption, to try edits in seconds and without a "
            "download. It draws simple things at 48 x 48 pixels and knows some 140 words; its roses are red unless the prompt "
            "says otherwise.",
            search_aliases=["pocket model", "tiny model", "test model", "edit assumption quickstart"],
            inputs=[],
            outputs=[
                io.Model.Output(display_name="MODEL"),
                io.Clip.Output(display_name="CLIP"),
                io.Vae.Output(display_name="VAE"),
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        """Load."""
        return io.NodeOutput(load_model(), load_clip(), load_vae())


NODES = [LoadPocketModel]
