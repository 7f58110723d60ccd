"""Edits on diffusers pipelines as people have them: fused, compiled, offloaded, with adapters, of other families."""

import copy
import shutil
import warnings

import pytest
import torch

pytest.importorskip("diffusers")

import accelerate
import clip_helpers
import diffusers
import tiny_models
from edit_assumption.editing.assumptions.context_map import ContextMap
from edit_assumption.editing.assumptions.edit import make_edit
from edit_assumption.editing.assumptions.prompt_pair import PromptPair
from edit_assumption.editing.assumptions.recipe import Recipe
from edit_assumption.editing.concepts.concept_edit import ConceptEdit
from edit_assumption.editing.concepts.concept_lines import parse_concepts
from edit_assumption.editing.concepts.concept_recipe import ConceptRecipe
from edit_assumption.editing.concepts.sentences import sentences_of
from edit_assumption.editing.errors import EditError
from edit_assumption.pipelines.command_inputs import load_pipeline
from edit_assumption.pipelines.edited_projections import edited_projections
from edit_assumption.pipelines.pipeline_concepts import edit_concepts, edited_text, text_encoders
from edit_assumption.pipelines.pipeline_encoder import PipelineEncoder, encode_prompts
from edit_assumption.pipelines.pipeline_teachers import attention_teacher
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

CPU = torch.device("cpu")
PROMPTS = ["a rose", "a photo of a house"]
CAPTIONS = ["a photo of a house", "a red apple", "a painting of a doctor", "a cat on a field"]


def random_map(width=128, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return ContextMap(*(0.1 * torch.randn(shape, generator=generator) for shape in ((width, 4), (4, width))))


@pytest.fixture
def pipe():
    return tiny_models.new_pipeline()


def concepts(lines="rose -> tulip", mode="text"):
    return ConceptRecipe(parse_concepts(lines), mode=mode)


def lora(model, targets, **settings):
    """The layers as PEFT leaves them, with an adapter that says something."""
    peft = pytest.importorskip("peft")
    torch.manual_seed(1)
    config = peft.LoraConfig(r=2, target_modules=targets, init_lora_weights=False, **settings)
    peft.inject_adapter_in_model(config, model)
    for name, weight in model.named_parameters():
        if "lora_" in name:
            weight.data.mul_(0.3)


def offloaded(pipe):
    for part in (pipe.unet, pipe.text_encoder, pipe.vae):
        accelerate.cpu_offload(part, execution_device="cpu")


def offloaded_as_wholes(pipe):
    for part in (pipe.unet, pipe.text_encoder, pipe.vae):
        accelerate.cpu_offload_with_hook(part, execution_device="cpu")


def with_lora(pipe):
    lora(pipe.unet, ["to_k", "to_v", "to_q"])
    lora(pipe.text_encoder, ["q_proj", "fc1", "fc2"])


def with_merged_lora(pipe):
    with_lora(pipe)
    for part in (*pipe.unet.modules(), *pipe.text_encoder.modules()):
        if hasattr(part, "base_layer"):
            part.merge()


def with_lora_offloaded(pipe):
    with_lora(pipe)
    offloaded(pipe)


WAYS = {
    "plain": lambda pipe: None,
    "fused": lambda pipe: pipe.fuse_qkv_projections(),
    "offloaded": offloaded,
    "offloaded as wholes": offloaded_as_wholes,
    "LoRA": with_lora,
    "merged LoRA": with_merged_lora,
    "LoRA, offloaded": with_lora_offloaded,
    "fp16": lambda pipe: pipe.to(torch.float16),
    "bf16": lambda pipe: pipe.to(torch.bfloat16),
    "sliced": lambda pipe: pipe.enable_attention_slicing(),
}


def run(pipe, context):
    """The UNet on a text, (1, 77, 128)."""
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return pipe.unet(latents.to(pipe.unet.dtype), torch.tensor(900), encoder_hidden_states=context).sample.clone()


def text_of(pipe):
    generator = torch.Generator().manual_seed(4)
    return torch.randn(1, 77, 128, generator=generator).to(pipe.unet.dtype)


def check_projections(pipe, tolerance=0.0):
    context, context_map = text_of(pipe), random_map()
    plain, wanted = run(pipe, context), run(pipe, context_map.apply(context))
    with edited_projections(pipe, context_map):
        edited = run(pipe, context)
        positional = pipe.unet(torch.zeros(1, 4, 8, 8, dtype=context.dtype), 5, context).sample
    assert float((edited - wanted).abs().max()) <= tolerance < 1e-2 * float((wanted - plain).abs().max())
    assert torch.equal(run(pipe, context), plain) and not torch.equal(
        positional, pipe.unet(torch.zeros(1, 4, 8, 8, dtype=context.dtype), 5, context).sample
    )


@pytest.mark.parametrize("way", WAYS)
def test_projections_are_edited_whatever_was_done_to_the_pipeline(pipe, way):
    WAYS[way](pipe)
    check_projections(pipe)


def small_unet():
    """One cross-attention layer, since compiling takes long."""
    torch.manual_seed(0)
    return diffusers.UNet2DConditionModel(
        sample_size=8, block_out_channels=(8,), layers_per_block=1, cross_attention_dim=128, attention_head_dim=4,
        norm_num_groups=4, down_block_types=("CrossAttnDownBlock2D",), up_block_types=("UpBlock2D",), mid_block_type=None,
    ).requires_grad_(False)  # fmt: skip


def compiled(pipe):
    pipe.unet = torch.compile(pipe.unet, backend="eager")


def compiled_forward(pipe):
    pipe.unet.forward = torch.compile(pipe.unet.forward, backend="eager")


COMPILED = {
    "wrapped": compiled,
    "in place": lambda pipe: pipe.unet.compile(backend="eager"),
    "in place, as one graph": lambda pipe: pipe.unet.compile(backend="eager", fullgraph=True),
    "forward": compiled_forward,
    "blocks": lambda pipe: [part.compile(backend="eager") for part in pipe.unet.down_blocks],
}


@pytest.mark.parametrize("way", COMPILED)
def test_projections_of_a_compiled_unet_are_edited(pipe, way):
    torch._dynamo.reset()
    pipe.unet = small_unet()
    COMPILED[way](pipe)
    try:
        check_projections(pipe, 1e-6)
        teacher = attention_teacher(pipe, concepts(mode="attention"), 0)()
        assert len(teacher.read(torch.zeros(1, 77, 128))) == 1
    finally:
        torch._dynamo.reset()


def test_what_was_compiled_under_an_edit_loses_it_with_the_edit(pipe):
    torch._dynamo.reset()
    pipe.unet = small_unet()
    context, context_map = text_of(pipe), random_map()
    plain = run(pipe, context)
    with edited_projections(pipe, context_map):
        pipe.unet.compile(backend="eager")
        assert torch.allclose(run(pipe, context), run(pipe, context)) and not torch.allclose(run(pipe, context), plain)
    assert torch.allclose(run(pipe, context), plain, atol=1e-6)
    torch._dynamo.reset()


def test_projections_edited_in_turn_are_the_maps_composed(pipe):
    context, first, second = text_of(pipe), random_map(), random_map(seed=1)
    wanted = run(pipe, first.compose(second).apply(context))
    other = run(pipe, second.compose(first).apply(context))
    with edited_projections(pipe, first), edited_projections(pipe, second):
        edited = run(pipe, context)
    assert torch.allclose(edited, wanted, atol=1e-4) and not torch.allclose(edited, other, atol=1e-4)


def test_an_ip_adapters_layers_are_left_alone(pipe):
    layers = [part for name, part in pipe.unet.named_modules() if name.endswith("attn2")]
    shapes = [layer.to_k.weight.shape for layer in layers]
    attention = {
        f"{2 * place + 1}.to_{kind}_ip.weight": torch.randn(shape) for place, shape in enumerate(shapes) for kind in "kv"
    }
    picture = {"proj.weight": torch.randn(4 * 128, 16), "proj.bias": torch.zeros(512), "norm.weight": torch.ones(128)}
    pipe.unet._load_ip_adapter_weights([{"image_proj": picture | {"norm.bias": torch.zeros(128)}, "ip_adapter": attention}])
    seen = {}
    for name, part in pipe.unet.named_modules():
        if name.endswith(("to_k_ip.0", "to_v_ip.0", "attn2.to_k", "attn2.to_v")):
            part.register_forward_pre_hook(lambda _, inputs, name=name: seen.setdefault(name, []).append(inputs[0]))
    context, context_map = text_of(pipe), random_map()
    given = {"added_cond_kwargs": {"image_embeds": [torch.randn(1, 1, 16)]}}
    with torch.no_grad():
        pipe.unet(torch.zeros(1, 4, 8, 8), 5, context, **given)
        with edited_projections(pipe, context_map):
            pipe.unet(torch.zeros(1, 4, 8, 8), 5, context, **given)
    assert sum("_ip" in name for name in seen) == sum("_ip" not in name for name in seen) == 2 * len(layers)
    for name, (before, after) in seen.items():
        assert torch.equal(after, before if "_ip" in name else context_map.apply(before))
    with pytest.raises(EditError, match=r"about text alone; unload the IP-Adapter with pipe\.unload_ip_adapter"):
        edit_concepts(pipe, concepts(mode="attention"), CAPTIONS)


class Elsewhere(diffusers.UNet2DConditionModel):
    """Calls no hooks, as an exported model does."""

    def __call__(self, *args, **kwargs):
        return self.forward(*args, **kwargs)


def test_an_edit_that_does_not_arrive_is_an_error(pipe):
    pipe.unet.__class__ = Elsewhere
    with pytest.raises(EditError, match="does not reach the pipeline's model"), edited_projections(pipe, random_map()):
        pass


@pytest.mark.parametrize("setting", ["encoder_hid_dim_type", "addition_embed_type"])
def test_a_unet_that_reads_text_in_another_way_is_refused(pipe, setting):
    pipe.unet.register_to_config(**{setting: "text_image"})
    with pytest.raises(EditError, match="reads text in a way that is not known"), edited_projections(pipe, random_map()):
        pass


def text_model(kind, width=32, seed=0):
    tokenizer = clip_helpers.clip_tokenizer()
    torch.manual_seed(seed)
    model = kind(
        CLIPTextConfig(
            vocab_size=len(tokenizer), hidden_size=width, intermediate_size=2 * width, num_hidden_layers=3,
            num_attention_heads=4, projection_dim=width, bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    ).eval()  # fmt: skip
    for name, weight in model.named_parameters():
        if "embedding" in name:
            weight.data.mul_(8)
    return model


def sd3():
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=8, patch_size=1, in_channels=4, num_layers=1, attention_head_dim=8, num_attention_heads=4,
        caption_projection_dim=32, joint_attention_dim=64, pooled_projection_dim=64, out_channels=4,
    )  # fmt: skip
    texts = [text_model(CLIPTextModelWithProjection, seed=seed) for seed in (0, 1)]
    return diffusers.StableDiffusion3Pipeline(
        transformer, diffusers.FlowMatchEulerDiscreteScheduler(), tiny_vae(), texts[0], clip_helpers.clip_tokenizer(),
        texts[1], clip_helpers.clip_tokenizer(), None, None,
    )  # fmt: skip


def flux():
    transformer = diffusers.FluxTransformer2DModel(
        in_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=32, pooled_projection_dim=32, axes_dims_rope=[4, 4, 8],
    )  # fmt: skip
    return diffusers.FluxPipeline(
        diffusers.FlowMatchEulerDiscreteScheduler(), tiny_vae(), text_model(CLIPTextModel), clip_helpers.clip_tokenizer(),
        None, None, transformer,
    )  # fmt: skip


def tiny_vae():
    return diffusers.AutoencoderKL(block_out_channels=(8,), norm_num_groups=4)


@pytest.mark.parametrize("build", [sd3, flux])
def test_other_families_are_refused_in_a_sentence(build, tmp_path):
    pipe = build()
    for refused in (lambda: edit_concepts(pipe, concepts(), CAPTIONS), lambda: PipelineEncoder(pipe)):
        with pytest.raises(EditError, match=f"{type(pipe).__name__}.* not known here; load one of SD 1.x, SD 2.x or SDXL"):
            refused()
    pipe.save_config(tmp_path)  # the index alone: the family is known before weights are loaded
    with pytest.raises(EditError, match="not known here"):
        load_pipeline(str(tmp_path), False, CPU)


def test_a_pipeline_without_its_parts_is_refused(pipe):
    pipe.text_encoder = None
    with pytest.raises(EditError, match="has no text_encoder; load it with all of its text encoders"):
        PipelineEncoder(pipe)
    with edited_projections(pipe, random_map()):  # which needs none
        pass
    pipe.unet = None
    with pytest.raises(EditError, match="without its UNet"), edited_projections(pipe, random_map()):
        pass


def sdxl():
    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8, block_out_channels=(16,), layers_per_block=1, cross_attention_dim=80, attention_head_dim=4,
        norm_num_groups=4, down_block_types=("CrossAttnDownBlock2D",), up_block_types=("UpBlock2D",), mid_block_type=None,
        addition_embed_type="text_time", addition_time_embed_dim=8, projection_class_embeddings_input_dim=96,
    )  # fmt: skip
    return diffusers.StableDiffusionXLPipeline(
        tiny_vae(), text_model(CLIPTextModel), text_model(CLIPTextModelWithProjection, 48),
        copy.deepcopy(clip_helpers.clip_tokenizer()), copy.deepcopy(clip_helpers.clip_tokenizer()), unet,
        diffusers.DDIMScheduler(),
    )  # fmt: skip


@torch.no_grad()
def own_embeddings(pipe, prompts):
    return pipe.encode_prompt(prompts, device=CPU, num_images_per_prompt=1, do_classifier_free_guidance=False)[0]


def test_sdxls_embeddings_are_those_of_both_encoders_and_edits_of_them_hold():
    pipe = sdxl()
    recipe = Recipe((PromptPair("a rose", "a blue rose", augmentations=()),), regularizer="identity")
    encode = PipelineEncoder(pipe)
    assert torch.equal(torch.stack([entry.embeddings for entry in encode(PROMPTS)]), own_embeddings(pipe, PROMPTS))
    edit = make_edit(recipe, encode)
    seen = []
    pipe.unet.down_blocks[0].attentions[0].transformer_blocks[0].attn2.to_k.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0])
    )
    told = {"text_embeds": torch.zeros(1, 48), "time_ids": torch.zeros(1, 6)}
    context = own_embeddings(pipe, ["a rose"])
    with edited_projections(pipe, edit.context_map), torch.no_grad():
        pipe.unet(torch.zeros(1, 4, 8, 8), 5, context, added_cond_kwargs=told)
    assert torch.equal(seen[0], edit.context_map.apply(context))
    assert [encoder.name for encoder in text_encoders(pipe)] == ["clip_l", "clip_g"]


def random_edit(pipe, layer=1, size=0.1):
    """A concept edit of random changes of one layer."""
    generator = torch.Generator().manual_seed(5)
    (encoder,) = text_encoders(pipe)
    factors = tuple(size * torch.randn(shape, generator=generator) for shape in ((128, 3), (3, 256)))
    return ConceptEdit(concepts(), {"clip_l": {layer: factors}}, {"clip_l": encoder.identity("a rose", layer + 1)}, 0.0)


def said_by_towers(encoders):
    return torch.stack([entry.embeddings for encoder in encoders for entry in encoder.encode(PROMPTS)])


def compiled_text(pipe):
    pipe.text_encoder = torch.compile(pipe.text_encoder, backend="eager")


def compiled_text_forward(pipe):
    pipe.text_encoder.forward = torch.compile(pipe.text_encoder.forward, backend="eager")


def compiled_layers(pipe):
    for part in pipe.text_encoder.modules():
        if hasattr(part, "mlp"):
            part.compile(backend="eager")


TEXT_WAYS = {name: way for name, way in WAYS.items() if name not in ("fused", "sliced")} | {
    "compiled": compiled_text,
    "compiled in place": lambda pipe: pipe.text_encoder.compile(backend="eager"),
    "compiled forward": compiled_text_forward,
    "compiled layers": compiled_layers,
}


@pytest.mark.parametrize("way", TEXT_WAYS)
def test_text_is_edited_whatever_was_done_to_the_pipeline(pipe, way):
    TEXT_WAYS[way](pipe)
    plain = encode_prompts(pipe, PROMPTS)
    versions = {name: weight._version for name, weight in pipe.text_encoder.named_parameters()}
    edit = random_edit(pipe)
    encoders = text_encoders(pipe)
    with edited_text(pipe, edit):
        edited = encode_prompts(pipe, PROMPTS)
        assert torch.equal(said_by_towers(text_encoders(pipe)), said_by_towers(edit.edited(encoders)))
    assert {name: weight._version for name, weight in pipe.text_encoder.named_parameters()} == versions
    half = way in ("fp16", "bf16")
    moved = float((edited - plain).norm())
    assert float((edited - said_by_towers(edit.edited(encoders))).norm()) < (0.05 if half else 1e-4) * moved
    assert torch.equal(encode_prompts(pipe, PROMPTS), plain) and moved > 0.05 * float(plain.norm())


def test_text_edits_add_up_and_come_off_in_any_order(pipe):
    first, second = random_edit(pipe, size=0.05), random_edit(pipe, 2)
    plain = encode_prompts(pipe, PROMPTS)
    both = said_by_towers(second.edited(first.edited(text_encoders(pipe))))
    with edited_text(pipe, first), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the first edit makes it a related encoder for the second
        with edited_text(pipe, second):
            assert torch.allclose(encode_prompts(pipe, PROMPTS), both, atol=1e-4)
    assert torch.equal(encode_prompts(pipe, PROMPTS), plain)


def test_an_edit_of_a_related_text_encoder_is_warned_of(pipe):
    edit = random_edit(pipe)
    lora(pipe.text_encoder, ["fc1"])  # on all of its layers it would be another text encoder
    with pytest.warns(UserWarning, match="made with a related text encoder"), edited_text(pipe, edit):
        pass


def test_a_text_encoder_that_says_something_else_than_its_weights_is_refused(pipe):
    handle = pipe.text_encoder.register_forward_hook(lambda *args: type(args[-1])(args[-1][0] * 2))
    with pytest.raises(EditError, match="does not compute what its weights say"):
        text_encoders(pipe)
    handle.remove()
    lora(pipe.text_encoder, ["fc1"], use_dora=True)
    with pytest.raises(EditError, match=r"“default” does more than add to weights; merge it first with pipe\.fuse_lora\(\)"):
        text_encoders(pipe)


def test_a_packed_text_encoder_is_refused(pipe):
    layer = pipe.text_encoder.get_submodule("encoder.layers.0.mlp.fc1") if hasattr(pipe.text_encoder, "encoder") else None
    layer = layer or pipe.text_encoder.text_model.encoder.layers[0].mlp.fc1
    layer.weight = torch.nn.Parameter(layer.weight.mul(100).to(torch.int8), requires_grad=False)
    with pytest.raises(EditError, match="stored packed and cannot be read; load it unquantised"):
        text_encoders(pipe)


@pytest.fixture
def with_inversion(pipe):
    """Two vectors under the name <my-rose>."""
    pipe.tokenizer = copy.deepcopy(pipe.tokenizer)  # which other tests share
    words = pipe.text_encoder.get_input_embeddings().weight
    tokens = pipe.tokenizer(["rose", "blue"]).input_ids
    pipe.load_textual_inversion({"<my-rose>": torch.stack([words[ids[1]] for ids in tokens]).detach().clone()})
    return pipe


def test_a_textual_inversions_tokens_are_the_pipelines_own(with_inversion):
    pipe, texts = with_inversion, ["a cat", "a <my-rose>", "<my-rose> on a house"]
    encoded = PipelineEncoder(pipe)(texts)
    assert torch.equal(torch.stack([entry.embeddings for entry in encoded]), own_embeddings(pipe, texts))
    assert encoded[1].tokens[1:5] == ("a</w>", "<my-rose>", "<my-rose>_1", "<|endoftext|>")
    recipe = Recipe((PromptPair("a cat", "a <my-rose>", augmentations=()),), regularizer="identity", regularization=1e-6)
    edit = make_edit(recipe, PipelineEncoder(pipe))
    # "a cat" and "a <my-rose>" answer from their ends: the cat to the last vector.
    wanted, source = own_embeddings(pipe, ["a <my-rose>"])[0][3], own_embeddings(pipe, ["a cat"])[0][2]
    assert float((edit.context_map.apply(source) - wanted).norm()) < 0.02 * float((source - wanted).norm())


def test_a_textual_inversion_is_a_subject(with_inversion):
    pipe = with_inversion
    (encoder,) = text_encoders(pipe)
    for source, destination in (("<my-rose>", "cat"), ("cat", "<my-rose>")):
        found = sentences_of(parse_concepts(f"{source} -> {destination}"), encoder.tokenize, ("a photo of {} on a house",))
        # start, a, photo, of, the subject
        assert int(found.subject) == (5 if source == "<my-rose>" else 4)
    with edited_text(pipe, edit_concepts(pipe, concepts("<my-rose> -> cat"), CAPTIONS)):
        after = own_embeddings(pipe, ["a photo of <my-rose>"])[0][5]
    before, wanted = own_embeddings(pipe, ["a photo of <my-rose>"])[0][5], own_embeddings(pipe, ["a photo of cat"])[0][4]
    assert float((after - wanted).norm()) < float((before - wanted).norm())


def test_a_textual_inversion_in_one_of_two_encoders_is_refused():
    pipe = sdxl()
    pipe.load_textual_inversion(
        {"<my-rose>": torch.randn(2, 32)}, text_encoder=pipe.text_encoder, tokenizer=pipe.tokenizer
    )  # fmt: skip
    with pytest.raises(EditError, match="into different tokens; load its textual inversion into both"):
        PipelineEncoder(pipe)(["a <my-rose>"])


LONG = "a rose on a field " * 16


def test_text_behind_the_window_is_named(pipe):
    encode = PipelineEncoder(pipe)
    with pytest.warns(
        UserWarning, match=r"“a rose.*” is longer than the 77 tokens .* does not see the end: “a rose on a field”"
    ):
        (encoded,) = encode([LONG])
    assert encoded.cut == "a rose on a field" and encoded.chunks[0].words == range(1, 76)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (fits,) = encode([" ".join(["rose"] * 75)])
    assert fits.cut == "" and fits.chunks[0].words == range(1, 76)
    with pytest.warns(UserWarning) as told:
        encode([f"{LONG} {number}" for number in range(9)])
    assert [str(entry.message)[:14] for entry in told][-1:] == ["6 more prompts"] and len(told) == 4


@pytest.mark.filterwarnings("ignore:.*longer than")
def test_a_difference_behind_the_window_is_an_error(pipe):
    pair = PromptPair(LONG + "by day", LONG + "at night", augmentations=())
    with pytest.raises(EditError, match=r"differ only behind the 77 tokens .* write both shorter. It does not see “.*night”"):
        make_edit(Recipe((pair,), regularizer="identity"), PipelineEncoder(pipe))
    read = PromptPair(f"the {LONG}", f"my {LONG}", augmentations=())
    assert make_edit(Recipe((read,), regularizer="identity"), PipelineEncoder(pipe)).edited > 0
    recipe = ConceptRecipe(parse_concepts(f"rose -> rose {LONG}"), templates=(f"{'a ' * 74}{{}}",), mode="text")
    with pytest.raises(EditError, match="differ only behind the 77 tokens"):
        edit_concepts(pipe, recipe, CAPTIONS)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("parts", [("unet", "text_encoder", "vae"), ("unet",), ("text_encoder",)])
def test_weights_that_are_there_as_a_variant_only_are_loaded(pipe, parts, tmp_path):
    pipe.save_pretrained(tmp_path / "plain")
    pipe.save_pretrained(tmp_path / "half", variant="fp16")
    for part in parts:
        shutil.rmtree(tmp_path / "plain" / part)
        shutil.copytree(tmp_path / "half" / part, tmp_path / "plain" / part)
    loaded = load_pipeline(str(tmp_path / "plain"), True, CPU)
    assert torch.equal(encode_prompts(loaded, PROMPTS), encode_prompts(pipe, PROMPTS)) and loaded.unet is not None
    shutil.rmtree(tmp_path / "plain" / parts[0])
    with pytest.raises(EditError, match=r"The weights of “.*” cannot be loaded .* download the pipeline again"):
        load_pipeline(str(tmp_path / "plain"), True, CPU)


def test_a_pipeline_that_takes_no_safety_checker_is_loaded(tmp_path, caplog):
    sdxl().save_pretrained(tmp_path)
    loaded = load_pipeline(str(tmp_path), False, CPU)
    assert loaded.unet is None and loaded.vae is None and "safety_checker" not in caplog.text


def test_modes_that_cannot_ask_the_model_say_so_first(pipe):
    pipe.scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    with pytest.raises(EditError, match="FlowMatchEulerDiscreteScheduler has not; use another, such as DDIMScheduler"):
        edit_concepts(pipe, concepts(mode="full"), CAPTIONS)
    assert max(edit_concepts(pipe, concepts(mode="attention"), CAPTIONS).left) < 1
    pipe.scheduler = diffusers.DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True)
    with pytest.raises(EditError, match="that predict flow_prediction; choose the mode “attention”"):
        edit_concepts(pipe, concepts(mode="full"), CAPTIONS)
    pipe.scheduler = diffusers.DDIMScheduler()
    for setting, value, message in (("in_channels", 9, "more than a picture's"), ("num_class_embeds", 4, "more than text")):
        before = pipe.unet.config[setting]
        pipe.unet.register_to_config(**{setting: value})
        with pytest.raises(EditError, match=message):
            edit_concepts(pipe, concepts(mode="full"), CAPTIONS)
        pipe.unet.register_to_config(**{setting: before})
