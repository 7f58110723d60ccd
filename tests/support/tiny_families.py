"""Pipelines of every family that diffusers edits know, of random weights and real widths of text, but hardly any depth."""

import copy

import clip_helpers
import diffusers
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
)

WORDS = "a an the photo of image picture painting rose roses pack blue red house cat dog doctor female in on snow night castle"


def clip_text(kind, width, seed=0):
    tokenizer = clip_helpers.clip_tokenizer()
    torch.manual_seed(seed)
    model = kind(
        CLIPTextConfig(
            vocab_size=len(tokenizer), hidden_size=width, intermediate_size=width, num_hidden_layers=2, num_attention_heads=4,
            projection_dim=width, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
            max_position_embeddings=clip_helpers.POSITIONS,
        )
    ).eval()  # fmt: skip
    return louder(model, "embedding", 8)


def louder(model, part, factor):
    """Weights by whose names words, and what they say, make more of a difference."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if part in name:
                weight.mul_(factor)
    return model


def t5_tokenizer(length=12):
    vocabulary = {
        piece: number for number, piece in enumerate(["<pad>", "</s>", "<unk>", *(f"▁{word}" for word in WORDS.split())])
    }
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="</s>", pad_token="<pad>", unk_token="<unk>", model_max_length=length
    )


def t5_text():
    torch.manual_seed(5)
    config = T5Config(vocab_size=len(t5_tokenizer()), d_model=4096, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    return louder(T5EncoderModel(config).eval(), "shared", 1.0)


def scheduler():
    return diffusers.DDIMScheduler(steps_offset=1, clip_sample=False)


def vae(channels=4):
    torch.manual_seed(6)
    return diffusers.AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=channels)


def unet(width, **more):
    torch.manual_seed(7)
    model = diffusers.UNet2DConditionModel(
        sample_size=8, block_out_channels=(16, 16), layers_per_block=1, cross_attention_dim=width, attention_head_dim=4,
        norm_num_groups=4, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), **more,
    )  # fmt: skip
    return louder(model, "attn2", 3)


def sd1():
    return _stable(768)


def sd2():
    return _stable(1024)


def _stable(width):
    return diffusers.StableDiffusionPipeline(
        vae=vae(), text_encoder=clip_text(CLIPTextModel, width), tokenizer=clip_helpers.clip_tokenizer(), unet=unet(width),
        scheduler=scheduler(), safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip


def sdxl():
    model = unet(
        2048, addition_embed_type="text_time", addition_time_embed_dim=8, projection_class_embeddings_input_dim=1280 + 6 * 8
    )
    return diffusers.StableDiffusionXLPipeline(
        vae(), clip_text(CLIPTextModel, 768), clip_text(CLIPTextModelWithProjection, 1280, 1),
        copy.deepcopy(clip_helpers.clip_tokenizer()), copy.deepcopy(clip_helpers.clip_tokenizer()), model, scheduler(),
    )  # fmt: skip


def pixart():
    torch.manual_seed(8)
    model = diffusers.PixArtTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, num_layers=1, cross_attention_dim=16, sample_size=8, caption_channels=4096,
        norm_num_groups=1, use_additional_conditions=False,
    )  # fmt: skip
    model = louder(model, "caption_projection.linear_1", 10)
    return diffusers.PixArtAlphaPipeline(t5_tokenizer(), t5_text(), vae(), model, scheduler())


def sd3():
    torch.manual_seed(9)
    model = diffusers.SD3Transformer2DModel(
        sample_size=8, patch_size=1, in_channels=4, num_layers=1, attention_head_dim=8, num_attention_heads=4,
        caption_projection_dim=32, joint_attention_dim=4096, pooled_projection_dim=2048, out_channels=4,
    )  # fmt: skip
    return diffusers.StableDiffusion3Pipeline(
        louder(model, "context_embedder", 10), diffusers.FlowMatchEulerDiscreteScheduler(), vae(),
        clip_text(CLIPTextModelWithProjection, 768), clip_helpers.clip_tokenizer(),
        clip_text(CLIPTextModelWithProjection, 1280, 1), clip_helpers.clip_tokenizer(), t5_text(), t5_tokenizer(),
    )  # fmt: skip


def flux():
    torch.manual_seed(10)
    model = diffusers.FluxTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=4096, pooled_projection_dim=768, axes_dims_rope=(4, 4, 8),
    )  # fmt: skip
    return diffusers.FluxPipeline(
        diffusers.FlowMatchEulerDiscreteScheduler(), vae(), clip_text(CLIPTextModel, 768), clip_helpers.clip_tokenizer(),
        t5_text(), t5_tokenizer(), louder(model, "context_embedder", 30),
    )  # fmt: skip


FAMILIES = {"SD 1.x": sd1, "SD 2.x": sd2, "SDXL": sdxl, "PixArt": pixart, "SD3": sd3, "Flux": flux}
