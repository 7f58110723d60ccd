"""Diffusion transformers of random weights, a block deep, from ComfyUI's own classes, with T5 a layer deep."""

from dataclasses import fields

import comfy.ldm.flux.model
import comfy.model_base
import comfy.model_patcher
import comfy.sd
import comfy.supported_models as families
import comfy.supported_models_base
import comfy.text_encoders.flux
import comfy.text_encoders.pixart_t5
import comfy.text_encoders.sd3_clip
import folder_paths
import torch
from comfy_api.latest import io

from .weights import randomise

T5 = {"num_layers": 1, "d_ff": 64, "num_heads": 4}
CLIP = {"num_hidden_layers": 3}
FLUX = dict(
    image_model="flux", in_channels=16, out_channels=16, vec_in_dim=768, context_in_dim=4096, hidden_size=128, mlp_ratio=2.0,
    num_heads=1, depth=1, depth_single_blocks=1, axes_dim=[16, 56, 56], theta=10000, patch_size=2, qkv_bias=True,
    guidance_embed=False, txt_ids_dims=[],
)  # fmt: skip
FLUX_FIELDS = {entry.name for entry in fields(comfy.ldm.flux.model.FluxParams)} | {"image_model"}
ENTRY = {"target": "torch.nn.Linear", "params": {"in_features": 4096, "out_features": 128}}
SD3 = dict(
    in_channels=16, out_channels=16, patch_size=2, depth=2, input_size=None, adm_in_channels=2048, num_patches=64,
    pos_embed_max_size=8, pos_embed_scaling_factor=None, context_embedder_config=ENTRY, x_block_self_attn_layers=[],
)  # fmt: skip
PIXART = dict(image_model="pixart_alpha", input_size=8, hidden_size=144, depth=1, num_heads=2, micro_condition=False)
TRANSFORMERS = {
    "pixart": (families.PixArtAlpha, comfy.model_base.PixArt, PIXART),
    "sd3": (families.SD3, comfy.model_base.SD3, SD3),
    "flux": (families.Flux, comfy.model_base.Flux, {name: value for name, value in FLUX.items() if name in FLUX_FIELDS}),
}
CLIPS = {
    "pixart": (comfy.text_encoders.pixart_t5.PixArtTokenizer, comfy.text_encoders.pixart_t5.PixArtT5XXL),
    "sd3": (comfy.text_encoders.sd3_clip.SD3Tokenizer, comfy.text_encoders.sd3_clip.SD3ClipModel),
    "flux": (comfy.text_encoders.flux.FluxTokenizer, comfy.text_encoders.flux.FluxClipModel),
}


def transformer(family):
    config_class, model_class, config = TRANSFORMERS[family]
    settings = config_class(dict(config))
    settings.set_inference_dtype(torch.float32, None)
    model = model_class(settings, device=torch.device("cpu")).eval()
    randomise(model.diffusion_model, seed=1)  # the schedule stays
    return comfy.model_patcher.ModelPatcher(model, torch.device("cpu"), torch.device("cpu"))


def transformer_clip(family):
    options = {
        "t5xxl_model_config": T5,
        "clip_l_model_config": CLIP,
        "clip_g_model_config": CLIP,
        "dtype": torch.float32,
    }
    target = comfy.supported_models_base.ClipTarget(*CLIPS[family])
    clip = comfy.sd.CLIP(target, embedding_directory=folder_paths.get_folder_paths("embeddings"), model_options=options)
    randomise(clip.cond_stage_model, seed=2)
    return clip


class TestTransformer(io.ComfyNode):
    """A transformer of random weights."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="TestTransformer",
            category="tests",
            inputs=[io.Combo.Input("family", options=list(TRANSFORMERS))],
            outputs=[io.Model.Output(), io.Clip.Output()],
        )

    @classmethod
    def execute(cls, family):
        return io.NodeOutput(transformer(family), transformer_clip(family))
