"""Models of random weights, a block deep and 64 numbers a token wide, of the families that newer versions of ComfyUI know."""

import base64
import io as streams
import json
import re
import zlib
from functools import cache
from importlib import import_module
from typing import ClassVar

import comfy.model_base
import comfy.model_patcher
import comfy.ops
import comfy.sd
import comfy.supported_models as families
import comfy.supported_models_base
import comfy.text_encoders.flux
import comfy.text_encoders.hunyuan_video
import folder_paths
import torch
from comfy_api.latest import io

from .weights import randomise

WIDTH = 64
WIDE = 640  # more than the rows of a padded prompt, which could not all be mapped otherwise
LANGUAGE = dict(hidden_size=WIDTH, intermediate_size=64, num_attention_heads=2, num_key_value_heads=1, num_hidden_layers=4)
DEEP = {**LANGUAGE, "num_hidden_layers": 36}  # as deep as the deepest layer that is read
T5 = dict(num_layers=1, d_model=WIDTH, d_ff=64, d_kv=16, num_heads=4)
PIECES, WORDS = 400, 2000
CPU = torch.device("cpu")
LATER = ("flux2", "flux2_klein", "ltx2", "chroma", "hunyuan_image", "hunyuan_video")

FLUX = dict(
    context_in_dim=WIDTH, hidden_size=64, mlp_ratio=2.0, num_heads=1, depth=1, depth_single_blocks=1, guidance_embed=False,
    vec_in_dim=None,
)  # fmt: skip
PREDICT2 = dict(
    max_img_h=240, max_img_w=240, max_frames=128, in_channels=16, out_channels=16, patch_spatial=2, patch_temporal=1,
    model_channels=96, num_blocks=2, num_heads=1, crossattn_emb_channels=WIDTH, pos_emb_cls="rope3d", pos_emb_learnable=True,
    use_adaln_lora=True, adaln_lora_dim=16, extra_per_block_abs_pos_emb=False,
)  # fmt: skip
FLUX_1 = dict(
    image_model="flux", in_channels=16, out_channels=16, axes_dim=[16, 24, 24], theta=10000, patch_size=2, qkv_bias=True
)
FLUX_2 = dict(
    image_model="flux2", in_channels=128, out_channels=128, axes_dim=[16, 16, 16, 16], theta=2000, patch_size=1, qkv_bias=False,
    txt_ids_dims=[3], global_modulation=True, mlp_silu_act=True, ops_bias=False, default_ref_method="index",
    ref_index_scale=10.0,
)  # fmt: skip
LUMINA = dict(
    image_model="lumina2", patch_size=2, in_channels=16, dim=96, cap_feat_dim=WIDTH, n_layers=1, n_refiner_layers=1, n_heads=3,
    n_kv_heads=3, qk_norm=True, axes_dims=[8, 12, 12], axes_lens=[300, 512, 512],
)  # fmt: skip
HUNYUAN = dict(
    image_model="hunyuan_video", in_channels=16, out_channels=16, context_in_dim=WIDTH, hidden_size=128, mlp_ratio=2.0,
    num_heads=1, depth=1, depth_single_blocks=1, theta=256, qkv_bias=True, guidance_embed=False, byt5=False, meanflow=False,
    use_cond_type_embedding=False, vision_in_dim=None, meanflow_sum=False,
)  # fmt: skip

MODELS = {
    "z_image": (
        "ZImage", "Lumina2",
        {
            **LUMINA, "dim": 256, "n_heads": 8, "n_kv_heads": 8, "z_image_modulation": True, "time_scale": 1000.0,
            "pad_tokens_multiple": 32, "rope_theta": 256.0,
        },
    ),
    "lumina2": ("Lumina2", "Lumina2", LUMINA),
    "qwen_image": (
        "QwenImage", "QwenImage",
        dict(
            image_model="qwen_image", num_layers=1, attention_head_dim=32, num_attention_heads=2, joint_attention_dim=WIDTH,
            axes_dims_rope=(8, 12, 12),
        ),
    ),
    "mage_flow": (
        "MageFlow", "MageFlow",
        dict(
            image_model="mage_flow", num_layers=1, attention_head_dim=32, num_attention_heads=2, joint_attention_dim=WIDTH,
            axes_dims_rope=(8, 12, 12),
        ),
    ),
    "krea2": (
        "Krea2", "Krea2",
        dict(
            image_model="krea2", features=64, txtdim=WIDTH, heads=2, kvheads=2, layers=1, txtheads=2, txtkvheads=2, multiplier=2
        ),
    ),
    "flux2": ("Flux2", "Flux2", {**FLUX, **FLUX_2, "context_in_dim": 3 * WIDTH}),
    "flux2_klein": ("Flux2", "Flux2", {**FLUX, **FLUX_2, "context_in_dim": 3 * WIDE}),
    "chroma": (
        "Chroma", "Chroma",
        dict(
            image_model="chroma", in_channels=64, out_channels=64, context_in_dim=WIDTH, hidden_size=64, mlp_ratio=2.0,
            num_heads=1, depth=1, depth_single_blocks=1, axes_dim=[16, 24, 24], theta=10000, patch_size=2, qkv_bias=True,
            in_dim=64, out_dim=64, hidden_dim=64, n_layers=1, txt_ids_dims=[], vec_in_dim=None,
        ),
    ),
    "longcat": ("LongCatImage", "LongCatImage", {**FLUX, **FLUX_1, "context_in_dim": WIDE, "txt_ids_dims": [1, 2]}),
    "wan": (
        "WAN21_T2V", "WAN21",
        dict(
            image_model="wan2.1", model_type="t2v", dim=96, ffn_dim=64, text_dim=WIDTH, num_heads=1, num_layers=2, in_dim=16,
            out_dim=16,
        ),
    ),
    "cosmos_predict2": ("CosmosT2IPredict2", "CosmosPredict2", {**PREDICT2, "image_model": "cosmos_predict2"}),
    "anima": ("Anima", "Anima", {**PREDICT2, "image_model": "anima"}),
    "minimax_h3": (
        "MiniMaxH3", "MiniMaxH3",
        dict(
            image_model="minimax_h3", hidden_size=96, num_layers=1, token_refiner_num_layers=1, num_attention_heads=1,
            attention_head_dim=96, ffn_hidden_size=64, text_dim=WIDTH, timestep_input_dim=32, time_embed_hidden_size=64,
            time_embed_dim=32,
        ),
    ),
    "hunyuan_image": (
        "HunyuanImage21", "HunyuanImage21",
        {**HUNYUAN, "in_channels": 64, "out_channels": 64, "vec_in_dim": None, "patch_size": [1, 1], "axes_dim": [64, 64]},
    ),
    "hunyuan_video": (
        "HunyuanVideo", "HunyuanVideo",
        {**HUNYUAN, "vec_in_dim": 768, "patch_size": [1, 2, 2], "axes_dim": [16, 56, 56]},
    ),
    "kandinsky5": (
        "Kandinsky5", "Kandinsky5",
        dict(
            image_model="kandinsky5", in_text_dim=WIDTH, time_dim=32, model_dim=64, ff_dim=64, num_text_blocks=1,
            num_visual_blocks=1,
        ),
    ),
    "omnigen2": (
        "Omnigen2", "Omnigen2",
        dict(
            image_model="omnigen2", hidden_size=96, num_layers=1, num_refiner_layers=1, num_attention_heads=1, num_kv_heads=1,
            axes_dim_rope=(32, 32, 32), text_feat_dim=WIDTH, in_channels=16,
        ),
    ),
    "boogu": (
        "Boogu", "Boogu",
        dict(
            image_model="boogu", hidden_size=96, num_layers=2, num_double_stream_layers=1, num_refiner_layers=1,
            num_attention_heads=1, num_kv_heads=1, axes_dim_rope=(32, 32, 32), instruction_feat_dim=WIDTH,
        ),
    ),
    "ideogram4": (
        "Ideogram4", "Ideogram4",
        dict(
            image_model="ideogram4", num_layers=1, num_attention_heads=1, attention_head_dim=64, intermediate_size=64,
            adaln_dim=32, llm_features_dim=13 * WIDTH, mrope_section=(8, 12, 12),
        ),
    ),
    "ernie": (
        "ErnieImage", "ErnieImage",
        dict(
            image_model="ernie", hidden_size=96, num_attention_heads=1, num_layers=1, ffn_hidden_size=64, text_in_dim=WIDTH,
            rope_axes_dim=(32, 32, 32),
        ),
    ),
    "joyimage": (
        "JoyImage", "JoyImage",
        dict(
            image_model="joyimage", hidden_size=128, num_attention_heads=1, num_layers=1, text_dim=WIDTH
        ),
    ),
    "aura": (
        "AuraFlow", "AuraFlow",
        dict(
            in_channels=4, out_channels=4, cond_seq_dim=WIDE, dim=128, n_layers=2, n_double_layers=1, n_heads=2,
            global_conddim=128,
        ),
    ),
    "ltxv": (
        "LTXV", "LTXV",
        dict(
            image_model="ltxv", num_layers=1, attention_head_dim=32, num_attention_heads=2, cross_attention_dim=64,
            caption_channels=WIDE,
        ),
    ),
    "ltx2": (
        "LTXAV", "LTXAV",
        dict(
            image_model="ltxav", num_layers=1, attention_head_dim=32, num_attention_heads=2, cross_attention_dim=64,
            audio_attention_head_dim=32, audio_num_attention_heads=1, audio_cross_attention_dim=32, caption_channels=128,
            connector_attention_head_dim=64, connector_num_attention_heads=2, connector_num_layers=1,
        ),
    ),
    "lens": (
        "Lens", "Lens",
        dict(
            image_model="lens", num_layers=1, num_attention_heads=1, attention_head_dim=32, enc_hidden_dim=WIDTH,
            axes_dims_rope=(8, 12, 12), in_channels=128, out_channels=128, patch_size=1, selected_layer_index=(0, 1),
        ),
    ),
    "pixeldit": (
        "PixelDiTT2I", "PixelDiTT2I",
        dict(
            image_model="pixeldit_t2i", num_groups=2, hidden_size=64, pixel_hidden_size=8, pixel_attn_hidden_size=64,
            pixel_num_groups=2, patch_depth=1, pixel_depth=1, patch_size=4, txt_embed_dim=WIDE,
        ),
    ),
    "hidream": (
        "HiDream", "HiDream",
        dict(
            image_model="hidream", patch_size=2, in_channels=16, out_channels=16, num_layers=1, num_single_layers=1,
            attention_head_dim=32, num_attention_heads=2, caption_channels=[WIDTH, WIDTH], text_emb_dim=2048,
            num_routed_experts=2, num_activated_experts=1, axes_dims_rope=(16, 16), llama_layers=[0, 1],
        ),
    ),
}  # fmt: skip
CLIPS = {
    "z_image": ("z_image", "ZImageTokenizer", "te", {"qwen3_4b": LANGUAGE}),
    "lumina2": ("lumina2", "LuminaTokenizer", "te", {"gemma2_2b": {**LANGUAGE, "vocab_size": PIECES}}),
    "qwen_image": ("qwen_image", "QwenImageTokenizer", "te", {"qwen25_7b": LANGUAGE}),
    "mage_flow": ("mage_flow", "MageFlowTokenizer", "te", {"qwen3vl_4b": LANGUAGE}),
    "krea2": ("krea2", "Krea2Tokenizer", "te", {"qwen3vl_4b": DEEP}),
    "flux2": ("flux", "Flux2Tokenizer", "flux2_te", {"mistral3_24b": {**DEEP, "vocab_size": WORDS}}),
    "flux2_klein": ("flux", "KleinTokenizer", "klein_te", {"qwen3_4b": {**DEEP, "hidden_size": WIDE}}),
    "chroma": ("pixart_t5", "PixArtTokenizer", "pixart_te", {"t5xxl": T5}),
    "longcat": ("longcat_image", "LongCatImageTokenizer", "te", {"qwen25_7b": {**LANGUAGE, "hidden_size": WIDE}}),
    "wan": ("wan", "WanT5Tokenizer", "te", {"umt5xxl": {**T5, "vocab_size": PIECES}}),
    "cosmos_predict2": ("cosmos", "CosmosT5Tokenizer", "te", {"t5xxl": T5}),
    "anima": ("anima", "AnimaTokenizer", "te", {"qwen3_06b": LANGUAGE}),
    "minimax_h3": ("minimax", "MiniMaxH3Tokenizer", "te", {"qwen3vl_32b": LANGUAGE}),
    "hunyuan_image": ("hunyuan_image", "HunyuanImageTokenizer", "te", {"qwen25_7b": LANGUAGE}),
    "hunyuan_video": (
        "hunyuan_video",
        "HunyuanVideoTokenizer",
        "hunyuan_video_clip",
        {"llama": {**LANGUAGE, "num_hidden_layers": 4}, "clip_l": {}},
        {},
    ),
    "kandinsky5": ("kandinsky5", "Kandinsky5TokenizerImage", "te", {"qwen25_7b": LANGUAGE, "clip_l": {}}),
    "omnigen2": ("omnigen2", "Omnigen2Tokenizer", "te", {"qwen25_3b": LANGUAGE}),
    "boogu": ("boogu", "BooguTokenizer", "te", {"qwen3vl_8b": LANGUAGE}),
    "ideogram4": ("ideogram4", "Ideogram4Tokenizer", "te", {"qwen3vl_8b": DEEP}),
    "ernie": ("ernie", "ErnieTokenizer", "te", {"ministral3_3b": {**LANGUAGE, "vocab_size": WORDS}}),
    "joyimage": ("joyimage", "JoyImageTokenizer", "te", {"qwen3vl_8b": LANGUAGE}),
    "aura": ("aura_t5", "AuraT5Tokenizer", "AuraT5Model", {"pile_t5xl": {**T5, "d_model": WIDE}}),
    "ltxv": ("lt", "LTXVT5Tokenizer", "ltxv_te", {"t5xxl": {**T5, "d_model": WIDE}}),
    "ltx2": ("lt", "LTXAVGemmaTokenizer", "ltxav_te", {"": {**LANGUAGE, "vocab_size": PIECES}}, {"video_projection_dim": 128}),
    "lens": ("gpt_oss", "LensTokenizer", "lens_te", {}),
    "pixeldit": (
        "pixeldit",
        "PixelDiTGemma2Tokenizer",
        "PixelDiTGemma2TE",
        {"gemma2_2b": {**LANGUAGE, "hidden_size": WIDE, "vocab_size": PIECES}},
    ),
    "hidream": ("hidream", "HiDreamTokenizer", "hidream_clip", {"llama": LANGUAGE, "t5xxl": T5}, {"clip_g": False}),
}
OPENING = 80
"""Tokens of Lens's template that its encoder cuts off."""
GPT_OSS = dict(
    hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=32,
    num_local_experts=2, num_experts_per_tok=1, vocab_size=WORDS,
)  # fmt: skip


@cache
def pieces():
    """A sentencepiece tokenizer of a few words, which these families' checkpoints hold."""
    import sentencepiece

    texts = ["a pink rose", "a blue rose", "a photo of a pack of roses", "an image of tulips", "a house in the snow at night"]
    model = streams.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*texts, "pink", "blue"] * 50), model_writer=model, vocab_size=60,
        hard_vocab_limit=False, pad_id=0, eos_id=1, bos_id=2, unk_id=3, minloglevel=2,
    )  # fmt: skip
    return torch.ByteTensor(list(model.getvalue()))


@cache
def tekken():
    """A tokenizer of single bytes as Mistral writes it, which these families' checkpoints hold."""
    special = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", *(f"<{number}>" for number in range(5, 11)), "<pad>"]
    special += [*(f"<{number}>" for number in range(12, 17)), "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"]
    named = [{"rank": rank, "token_str": token} for rank, token in enumerate(special)]
    singles = [{"rank": byte, "token_bytes": base64.b64encode(bytes([byte])).decode()} for byte in range(256)]
    config = {"pattern": r"\s?\S+|\s+", "default_vocab_size": 1256, "default_num_special_tokens": 1000}
    return json.dumps({"config": config, "vocab": singles, "special_tokens": named}).encode()


class LlamaWords:
    """A word for a token, and the template's marks, in the place of Llama 3's tokenizer."""

    MARKS: ClassVar = {
        "<|begin_of_text|>": 128000, "<|start_header_id|>": 128006, "<|end_header_id|>": 128007, "<|eot_id|>": 128009,
        "user": 882, "\n\n": 271,
    }  # fmt: skip

    @classmethod
    def from_pretrained(cls, path, **kwargs):
        return cls()

    def __call__(self, text):
        pieces = re.findall(r"<\|\w+\|>|\n\n|\w+|[^\w\s]", f"<|begin_of_text|>{text}")
        return {"input_ids": [self.MARKS.get(piece, 1000 + zlib.crc32(piece.encode()) % 100000) for piece in pieces]}

    def get_vocab(self):
        return self.MARKS


@cache
def wordwise():
    """A tokenizer of whole words in Hugging Face's form, with the template's marks, which Lens's checkpoint holds."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["<unk>", "a", "pink", "blue", "red", "rose", "photo", "of", "image", "pack", "tulips", "house"]
    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.add_special_tokens(["<|start|>", "<|message|>", "<|end|>", "<|channel|>"])
    return torch.ByteTensor(list(made.to_str().encode()))


def family_model(name):
    config, model_class, settings = MODELS[name]
    config = getattr(families, config)(dict(settings))
    config.unet_config |= settings  # the family's own sizes came on top
    config.set_inference_dtype(torch.float32, None)
    model = getattr(comfy.model_base, model_class)(config, device=CPU).eval()
    if name == "anima":  # which has one size
        sizes = dict(source_dim=WIDTH, target_dim=WIDTH, model_dim=WIDTH, num_layers=1, num_heads=2)
        adapter = type(model.diffusion_model.llm_adapter)
        model.diffusion_model.llm_adapter = adapter(**sizes, dtype=torch.float32, operations=comfy.ops.manual_cast)
    randomise(model.diffusion_model, seed=1)  # the schedule stays
    return comfy.model_patcher.ModelPatcher(model, CPU, CPU)


def experts():
    """Layers whose weights are there before a checkpoint is read, the experts of a GPT among them."""

    class Operations(comfy.ops.manual_cast):
        MoEExperts = comfy.ops.mixed_precision_ops({}, torch.float32, full_precision_mm=True).MoEExperts

    return Operations


def family_clip(name):
    comfy.text_encoders.hunyuan_video.LlamaTokenizerFast = LlamaWords
    module, tokenizer, encoder, configs, *settings = CLIPS[name]
    module = import_module(f"comfy.text_encoders.{module}")
    encoder = getattr(module, encoder)
    if not isinstance(encoder, type):  # a function that makes the class
        encoder = encoder(**dict(*settings))
    target = comfy.supported_models_base.ClipTarget(getattr(module, tokenizer), encoder)
    options = {"dtype": torch.float32, "gpt_oss_config": GPT_OSS, "selected_layers": (0, 1), "txt_offset": OPENING}
    options |= {f"{part}_model_config": config for part, config in configs.items()}
    if name == "lens":
        options["custom_operations"] = experts()
    clip = comfy.sd.CLIP(
        target,
        embedding_directory=folder_paths.get_folder_paths("embeddings"),
        tokenizer_data={"spiece_model": pieces(), "tekken_model": tekken(), "tokenizer_json": wordwise()},
        model_options=options,
    )
    for part in clip.cond_stage_model.modules():
        if hasattr(part, "visual"):
            part.visual = None  # no picture is read, and it is large
        if hasattr(part, "num_experts") and getattr(part, "weight", 0) is None:  # a bank that a checkpoint would bring
            part.weight = torch.nn.Parameter(torch.zeros(part._orig_shape), requires_grad=False)
    randomise(clip.cond_stage_model, seed=2)
    return clip


def known():
    """Those that this version of ComfyUI has, some of whose first text encoders and settings were others."""
    newer = hasattr(comfy.text_encoders.flux, "klein_te")
    return [
        name
        for name, (config, model_class, _) in MODELS.items()
        if hasattr(families, config) and hasattr(comfy.model_base, model_class) and (newer or name not in LATER)
    ]


class TestFamily(io.ComfyNode):
    """A model of random weights, its CLIP, and an empty latent of its kind."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="TestFamily",
            category="tests",
            inputs=[io.Combo.Input("family", options=known())],
            outputs=[io.Model.Output(), io.Clip.Output(), io.Latent.Output()],
        )

    @classmethod
    def execute(cls, family):
        model = family_model(family)
        latents = model.model.latent_format
        samples = torch.zeros(1, latents.latent_channels, *[1] * (latents.latent_dimensions - 2), 8, 8)
        return io.NodeOutput(model, family_clip(family), {"samples": samples})
