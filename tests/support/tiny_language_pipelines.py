"""Pipelines whose model reads a language model's rows, or T5's alone, of random weights and hardly any depth."""

import diffusers
import torch
from tiny_families import WORDS, louder, vae
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors
from transformers import (
    Gemma2Config,
    Gemma2Model,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5EncoderModel,
    UMT5Config,
    UMT5EncoderModel,
)

WIDTH = 128
_MARKS = ("<pad>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>")
_TEMPLATE = (
    "{% for message in messages %}<|im_start|> {{ message['role'] }} {{ message['content'] }} <|im_end|>{% endfor %}"
    "<|im_start|> assistant"
)
_SIZES = {"hidden_size": WIDTH, "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2}


def tokenizer(ends=False):
    """Words as tokens; ``ends`` as T5's, with an end token behind each text."""
    words = [*_MARKS, "▁user", "▁assistant", *(f"▁{word}" for word in WORDS.split())]
    core = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.add_special_tokens([AddedToken(mark, normalized=False) for mark in _MARKS])
    if ends:
        core.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    made = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="</s>", pad_token="<pad>", unk_token="<unk>", model_max_length=64, padding_side="right"
    )
    made.chat_template = _TEMPLATE
    return made


def _seeded(build, seed):
    torch.manual_seed(seed)
    return build().eval()


def _vocabulary():
    return len(tokenizer())


def qwen3(layers=3):
    config = Qwen3Config(vocab_size=_vocabulary(), num_hidden_layers=layers, head_dim=32, **_SIZES)
    return louder(_seeded(lambda: Qwen3ForCausalLM(config), 1), "embed", 40)


def qwen25_vl():
    rope = {"type": "mrope", "mrope_section": [4, 4, 8]}
    config = Qwen2_5_VLConfig(
        text_config={"vocab_size": _vocabulary(), "num_hidden_layers": 2, "rope_scaling": rope, **_SIZES},
        vision_config={
            "depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": WIDTH,
            "fullatt_block_indexes": [0],
        },
    )  # fmt: skip
    return louder(_seeded(lambda: Qwen2_5_VLForConditionalGeneration(config), 2), "embed", 40)


def gemma2():
    config = Gemma2Config(vocab_size=_vocabulary(), num_hidden_layers=3, head_dim=8, pad_token_id=0, **_SIZES)
    return louder(_seeded(lambda: Gemma2Model(config), 3), "embed", 8)


def _t5(kind, settings):
    config = settings(vocab_size=_vocabulary(), d_model=WIDTH, d_kv=32, d_ff=48, num_layers=1, num_heads=4)
    return louder(_seeded(lambda: kind(config), 4), "shared", 8)


def umt5():
    return _t5(UMT5EncoderModel, UMT5Config)


def t5():
    return _t5(T5EncoderModel, T5Config)


def flow():
    return diffusers.FlowMatchEulerDiscreteScheduler()


def _transformer(kind, **settings):
    return louder(_seeded(lambda: kind(**settings), 5), "weight", 1.5)


def qwen_image():
    model = _transformer(
        diffusers.QwenImageTransformer2DModel, patch_size=2, in_channels=16, out_channels=4, num_layers=1,
        attention_head_dim=16, num_attention_heads=2, joint_attention_dim=WIDTH, axes_dims_rope=(4, 4, 8),
    )  # fmt: skip
    pipe = diffusers.QwenImagePipeline(flow(), None, qwen25_vl(), tokenizer(), model)
    opening = "<|im_start|> system the image of <|im_end|> <|im_start|> user"
    pipe.prompt_template_encode = f"{opening} {{}} <|im_end|> <|im_start|> assistant"
    pipe.prompt_template_encode_start_idx = len(pipe.tokenizer(opening)["input_ids"])
    return pipe


def z_image():
    model = _transformer(
        diffusers.ZImageTransformer2DModel, in_channels=4, dim=32, n_layers=1, n_refiner_layers=1, n_heads=2, n_kv_heads=2,
        cap_feat_dim=WIDTH, axes_dims=[4, 4, 8], axes_lens=[256, 32, 32],
    )  # fmt: skip
    return diffusers.ZImagePipeline(flow(), vae(), qwen3(), tokenizer(), model)


def _wan_transformer(seed=5):
    return louder(_seeded(lambda: diffusers.WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4, text_dim=WIDTH, freq_dim=16, ffn_dim=32,
        num_layers=1, rope_max_seq_len=32,
    ), seed), "attn2", 3)  # fmt: skip


def wan(second=None):
    torch.manual_seed(6)
    video = diffusers.AutoencoderKLWan(base_dim=4, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1)
    return diffusers.WanPipeline(
        tokenizer(ends=True), umt5(), video, flow(), _wan_transformer(), second, 0.9 if second else None
    )


def wan22():
    """Two transformers: one for the first steps, one for the others."""
    return wan(_wan_transformer(7))


def flux2_klein():
    model = _transformer(
        diffusers.Flux2Transformer2DModel, patch_size=1, in_channels=16, num_layers=1, num_single_layers=1,
        attention_head_dim=16, num_attention_heads=2, joint_attention_dim=3 * WIDTH, timestep_guidance_channels=16,
        axes_dims_rope=(4, 4, 4, 4), guidance_embeds=False,
    )  # fmt: skip
    torch.manual_seed(6)
    latents = diffusers.AutoencoderKLFlux2(
        block_out_channels=(8,), norm_num_groups=4, latent_channels=4, down_block_types=("DownEncoderBlock2D",),
        up_block_types=("UpDecoderBlock2D",),
    )  # fmt: skip
    return diffusers.Flux2KleinPipeline(flow(), latents, qwen3(28), tokenizer(), model)


def chroma():
    model = _transformer(
        diffusers.ChromaTransformer2DModel, patch_size=1, in_channels=16, num_layers=1, num_single_layers=1,
        attention_head_dim=16, num_attention_heads=2, joint_attention_dim=WIDTH, axes_dims_rope=(4, 4, 8),
        approximator_num_channels=8, approximator_hidden_dim=16, approximator_layers=1,
    )  # fmt: skip
    return diffusers.ChromaPipeline(flow(), vae(), t5(), tokenizer(ends=True), model)


def lumina2():
    model = _transformer(
        diffusers.Lumina2Transformer2DModel, sample_size=4, patch_size=2, in_channels=4, hidden_size=32, num_layers=1,
        num_refiner_layers=1, num_attention_heads=2, num_kv_heads=1, multiple_of=8, axes_dim_rope=(4, 4, 8),
        axes_lens=(300, 64, 64), cap_feat_dim=WIDTH,
    )  # fmt: skip
    return diffusers.Lumina2Pipeline(model, flow(), vae(), gemma2(), tokenizer())


def ltx():
    model = _transformer(
        diffusers.LTXVideoTransformer3DModel, in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=12,
        cross_attention_dim=24, num_layers=1, caption_channels=WIDTH,
    )  # fmt: skip
    return diffusers.LTXPipeline(flow(), None, t5(), tokenizer(ends=True), model)


def aura_flow():
    model = _transformer(
        diffusers.AuraFlowTransformer2DModel, sample_size=8, patch_size=2, in_channels=4, num_mmdit_layers=1,
        num_single_dit_layers=1, attention_head_dim=16, num_attention_heads=2, joint_attention_dim=WIDTH,
        caption_projection_dim=32, out_channels=4, pos_embed_max_size=256,
    )  # fmt: skip
    return diffusers.AuraFlowPipeline(tokenizer(ends=True), umt5(), vae(), louder(model, "add_v_proj", 30), flow())


PIPELINES = {
    "Qwen-Image": qwen_image, "Z-Image": z_image, "Wan 2.1": wan, "Wan 2.2": wan22, "Flux.2 Klein": flux2_klein,
    "Chroma": chroma, "Lumina 2": lumina2, "LTX-Video": ltx, "AuraFlow": aura_flow,
}  # fmt: skip
