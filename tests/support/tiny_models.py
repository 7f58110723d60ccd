"""A Stable Diffusion pipeline and those who judge pictures, tiny and of random weights, made here and written to folders."""

import clip_helpers
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import (
    BertTokenizerFast,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    ViltConfig,
    ViltForQuestionAnswering,
    ViltImageProcessor,
    ViltProcessor,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)


def new_pipeline():
    """(3, 16, 16) pictures; its text encoder, of width 128, knows the words of clip_helpers."""
    tokenizer = clip_helpers.clip_tokenizer()
    torch.manual_seed(0)
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer), hidden_size=128, intermediate_size=256, num_hidden_layers=4, num_attention_heads=4,
            max_position_embeddings=clip_helpers.POSITIONS, bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.eos_token_id,
        )
    ).eval()  # fmt: skip
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(16, 16), layers_per_block=1, cross_attention_dim=128, attention_head_dim=4,
        norm_num_groups=4, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(8, 8), down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4, norm_num_groups=4,
    )  # fmt: skip
    with torch.no_grad():  # so that words, and what they say, make a difference
        for name, weight in (*text.named_parameters(), *unet.named_parameters()):
            if "embedding" in name and "text" in type(text).__name__.lower() and weight.ndim == 2 and weight.shape[1] == 128:
                weight.mul_(8)
            if "attn2" in name:
                weight.mul_(6)
    return StableDiffusionPipeline(
        vae=vae, text_encoder=text, tokenizer=tokenizer, unet=unet, scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip


def write_pipeline(folder):
    """The same in files."""
    new_pipeline().save_pretrained(folder)


def write_classifier(folder, labels):
    """A ViT of these classes, each with its names separated by commas."""
    torch.manual_seed(1)
    config = ViTConfig(
        image_size=16, patch_size=4, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        num_labels=len(labels), id2label=dict(enumerate(labels)), label2id=dict(zip(labels, range(len(labels)), strict=True)),
    )  # fmt: skip
    model = ViTForImageClassification(config)
    with torch.no_grad():
        model.classifier.weight.mul_(40)  # so that pictures make a difference
    model.save_pretrained(folder)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)


def write_clip(folder):
    """CLIP's two halves, with their processor."""
    tokenizer = clip_helpers.clip_tokenizer()
    small = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4)
    ends = dict(bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.eos_token_id)
    torch.manual_seed(0)
    model = CLIPModel(
        CLIPConfig(
            text_config=dict(small, vocab_size=len(tokenizer), max_position_embeddings=clip_helpers.POSITIONS, **ends),
            vision_config=dict(small, image_size=16, patch_size=4), projection_dim=16,
        )
    ).eval()  # fmt: skip
    with torch.no_grad():  # so that words and pictures make a difference
        for name, weight in model.named_parameters():
            if "embedding" in name:
                weight.mul_(8)
    model.save_pretrained(folder)
    CLIPProcessor(CLIPImageProcessor(size=16, crop_size=16), tokenizer).save_pretrained(folder)


def write_vilt(folder, answers):
    """A ViLT that answers questions about pictures."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "?", *clip_helpers.WORDS.split(), "does", "picture", "show"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(words)))
    torch.manual_seed(2)
    config = ViltConfig(
        vocab_size=len(set(words)), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=24, image_size=32, patch_size=16, id2label=dict(enumerate(answers)),
        label2id={answer: number for number, answer in enumerate(answers)}, num_labels=len(answers),
    )  # fmt: skip
    model = ViltForQuestionAnswering(config)
    with torch.no_grad():  # so that words and pictures make a difference
        for name, weight in model.named_parameters():
            if "embeddings" in name or "classifier" in name:
                weight.mul_(8)
    model.save_pretrained(folder)
    images = ViltImageProcessor(size={"shortest_edge": 32}, size_divisor=16)
    ViltProcessor(images, BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=24)).save_pretrained(folder)
