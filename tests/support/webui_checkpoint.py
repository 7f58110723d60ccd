"""Writes a checkpoint of random weights: all blocks of its kind, thin ones, and text encoders at their full size.

Run with the Python of an A1111, in its folder, with OUT KIND SEED as arguments; its ``ldm`` and ``sgm`` build the parts. A1111
reads a model of any thickness with the .yaml that is written beside it; Forge guesses, and knows SD 1.x of 320 channels only.
"""

import sys
from pathlib import Path

sys.path.insert(0, "repositories/stable-diffusion-stability-ai")
sys.path.insert(0, "repositories/generative-models")

import open_clip
import torch
from ldm.util import instantiate_from_config
from omegaconf import OmegaConf
from safetensors.torch import save_file
from sgm.util import instantiate_from_config as instantiate_xl
from transformers import CLIPTextConfig, CLIPTextModel

SD1 = "configs/v1-inference.yaml"
SD2 = "repositories/stable-diffusion-stability-ai/configs/stable-diffusion/v2-inference-v.yaml"
SDXL = "repositories/generative-models/configs/inference/sd_xl_base.yaml"
CLIP_L = dict(
    vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
    max_position_embeddings=77, hidden_act="quick_gelu",
)  # fmt: skip
# Configuration, changes of the UNet's, channels of the autoencoder, and the text encoders by their place in the checkpoint.
KINDS = {
    "thin": (SD1, dict(model_channels=32), 32, {"cond_stage_model.transformer.": "CLIP-L"}),
    "forge": (SD1, dict(model_channels=320, channel_mult=[1, 1, 1, 1]), 128, {"cond_stage_model.transformer.": "CLIP-L"}),
    "sd2": (SD2, dict(model_channels=64, num_head_channels=32), 32, {"cond_stage_model.model.": "ViT-H-14"}),
    "sdxl": (
        SDXL,
        dict(model_channels=64, num_head_channels=32, transformer_depth=[0, 1, 1], spatial_transformer_attn_type="softmax"),
        32,
        {"conditioner.embedders.0.transformer.": "CLIP-L", "conditioner.embedders.1.model.": "ViT-bigG-14"},
    ),
}


def text_encoder(name):
    if name == "CLIP-L":
        return CLIPTextModel(CLIPTextConfig(**CLIP_L))
    with torch.device("meta"):  # its picture encoder alone would take 8 GB, and shapes are all that is wanted
        model = open_clip.create_model(name, pretrained=None, device="meta")
    del model.visual
    return model


def randomised(state, generator):
    for name, tensor in state.items():
        if not tensor.is_floating_point():
            yield name, tensor.clone()
        elif name.endswith(
            ("final_layer_norm.bias", "ln_final.bias")
        ):  # A1111's emphasis divides by the mean of what comes out
            yield name, (0.1 + 0.02 * torch.randn(tensor.shape, generator=generator)).half()
        elif tensor.ndim >= 2:
            scale = 0.02 if "embedding" in name else tensor[0].numel() ** -0.5
            yield name, (torch.randn(tensor.shape, generator=generator) * scale).half()
        else:
            yield name, torch.full(tensor.shape, float(name.endswith("weight"))).half()


def main(out, kind, seed):
    generator = torch.Generator().manual_seed(seed)
    source, unet, vae_channels, encoders = KINDS[kind]
    config = OmegaConf.load(source)
    params = config.model.params
    network = params.network_config if kind == "sdxl" else params.unet_config
    network.params.update({**unet, "use_checkpoint": False})
    params.first_stage_config.params.ddconfig.update({"ch": vae_channels, "attn_type": "vanilla"})
    build = instantiate_xl if kind == "sdxl" else instantiate_from_config
    parts = {"model.diffusion_model.": build(network), "first_stage_model.": build(params.first_stage_config)}
    parts |= {prefix: text_encoder(name) for prefix, name in encoders.items()}
    tensors = {}
    for prefix, module in parts.items():
        tensors |= {prefix + name: tensor for name, tensor in randomised(module.state_dict(), generator)}
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    tensors["alphas_cumprod"] = torch.cumprod(1 - betas, 0).float()
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, out)
    OmegaConf.save(config, Path(out).with_suffix(".yaml"))


if __name__ == "__main__":
    out, kind, seed = sys.argv[1:]
    main(out, kind, int(seed))
