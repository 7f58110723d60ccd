"""Writes a Stable Diffusion 1.5 checkpoint of random weights: all blocks, thin ones, and CLIP-L at its full size.

Run with the Python of an A1111, whose ``ldm`` builds it, in its folder, with OUT CHANNELS VAE_CHANNELS MULT SEED as arguments.
A1111 reads a model of any thickness with the .yaml that is written beside it; Forge guesses, and knows 320 channels only.
"""

import sys
from pathlib import Path

sys.path.insert(0, "repositories/stable-diffusion-stability-ai")

import torch
import yaml
from ldm.models.autoencoder import AutoencoderKL
from ldm.modules.diffusionmodules.openaimodel import UNetModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

CLIP_L = dict(
    vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
    max_position_embeddings=77, hidden_act="quick_gelu",
)  # fmt: skip


def randomised(state, generator):
    for name, tensor in state.items():
        if not tensor.is_floating_point():
            yield name, tensor.clone()
        elif name.endswith("final_layer_norm.bias"):  # A1111's emphasis divides by the mean of what comes out
            yield name, (0.1 + 0.02 * torch.randn(tensor.shape, generator=generator)).half()
        elif tensor.ndim >= 2:
            scale = 0.02 if "embedding" in name else tensor[0].numel() ** -0.5
            yield name, (torch.randn(tensor.shape, generator=generator) * scale).half()
        else:
            yield name, torch.full(tensor.shape, float(name.endswith("weight"))).half()


def main(out, channels, vae_channels, mult, seed):
    generator = torch.Generator().manual_seed(seed)
    unet = dict(
        image_size=32, in_channels=4, out_channels=4, model_channels=channels, attention_resolutions=[4, 2, 1],
        num_res_blocks=2, channel_mult=mult, num_heads=8, use_spatial_transformer=True, transformer_depth=1, context_dim=768,
        use_checkpoint=False, legacy=False,
    )  # fmt: skip
    vae = dict(
        double_z=True, z_channels=4, resolution=256, in_channels=3, out_ch=3, ch=vae_channels, ch_mult=[1, 2, 4, 4],
        num_res_blocks=2, attn_resolutions=[], dropout=0.0,
    )  # fmt: skip
    loss = {"target": "torch.nn.Identity"}
    parts = {
        "model.diffusion_model.": UNetModel(**unet),
        "cond_stage_model.transformer.": CLIPTextModel(CLIPTextConfig(**CLIP_L)),
        "first_stage_model.": AutoencoderKL(embed_dim=4, ddconfig=vae, lossconfig=loss),
    }
    tensors = {}
    for prefix, module in parts.items():
        tensors |= {prefix + name: tensor for name, tensor in randomised(module.state_dict(), generator)}
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    tensors["alphas_cumprod"] = torch.cumprod(1 - betas, 0).float()
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, out)
    config = dict(
        linear_start=0.00085, linear_end=0.012, num_timesteps_cond=1, timesteps=1000, first_stage_key="jpg",
        cond_stage_key="txt", image_size=64, channels=4, conditioning_key="crossattn", scale_factor=0.18215, use_ema=False,
        unet_config={"target": "ldm.modules.diffusionmodules.openaimodel.UNetModel", "params": unet},
        first_stage_config={
            "target": "ldm.models.autoencoder.AutoencoderKL",
            "params": {"embed_dim": 4, "ddconfig": vae, "lossconfig": loss},
        },
        cond_stage_config={"target": "ldm.modules.encoders.modules.FrozenCLIPEmbedder"},
    )  # fmt: skip
    model = {"target": "ldm.models.diffusion.ddpm.LatentDiffusion", "params": config}
    Path(out).with_suffix(".yaml").write_text(yaml.safe_dump({"model": model}))


if __name__ == "__main__":
    out, channels, vae_channels, mult, seed = sys.argv[1:]
    main(out, int(channels), int(vae_channels), [int(number) for number in mult.split(",")], int(seed))
