"""The package's front door on diffusers pipelines: every family, whatever was done to the pipeline, one edit or several."""

import copy
import os
import subprocess
import sys
import threading
import warnings

import pytest
import torch

pytest.importorskip("diffusers")

import accelerate
import diffusers
import edit_assumption as ea
import tiny_families
import tiny_models
from edit_assumption.editing.projections import POOLED
from edit_assumption.pipelines.cache_folder import VARIABLE
from edit_assumption.pipelines.text_encoding import encoder_of
from edit_assumption.pipelines.text_models import component, text_inputs
from safetensors.torch import load_file
from servers import SUPPORT

SOURCE, LINE = "a pack of roses", "a pack of roses -> a pack of blue roses"
IDENTITY = {"regularizer": "identity"}
ROUNDING = 1e-5
"""Of latents up to 4 in float32, after two steps."""


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """No test reads or leaves files in the user's own cache."""
    monkeypatch.setenv(VARIABLE, str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def pipe():
    return quiet(tiny_models.new_pipeline())


def quiet(pipe):
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(pipe, prompt=SOURCE, **more):
    if prompt is not None:
        more["prompt"] = prompt
    if isinstance(pipe, diffusers.PixArtAlphaPipeline):
        more |= {"clean_caption": False, "use_resolution_binning": False}
    size = 8 * getattr(pipe, "vae_scale_factor", 1) if isinstance(pipe, diffusers.PixArtAlphaPipeline) else 16
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return pipe(
            generator=torch.Generator().manual_seed(1),
            num_inference_steps=2,
            height=size,
            width=size,
            output_type="latent",
            **more,
        ).images.float()


def apart(one, other):
    return float((one - other).abs().max())


FAMILIES = [pytest.param(build, id=name) for name, build in tiny_families.FAMILIES.items()]


@pytest.mark.parametrize("build", FAMILIES)
def test_weights_hook_lora_and_conditioning_draw_the_same(build, tmp_path):
    pipe = quiet(build())
    plain = draw(pipe)
    with ea.edited(pipe, LINE, **IDENTITY) as edit:
        hooked = draw(pipe)
        moved = apart(hooked, plain)
        edit.save_lora(tmp_path / "lora.safetensors")
        solved = edit.edit
    near = max(1e-3 * moved, ROUNDING)
    assert moved > 10 * ROUNDING and torch.equal(draw(pipe), plain)
    inputs, model = text_inputs(pipe), getattr(pipe, component(pipe))
    tensors, chosen = load_file(tmp_path / "lora.safetensors"), inputs.chosen(solved)
    assert len(tensors) == 3 * len(chosen)
    for change in (written, added):
        other = copy.deepcopy(model)
        for projection, names in zip(chosen, sorted_layers(tensors, chosen, inputs), strict=True):
            weight = other.get_parameter(projection.key)
            with torch.no_grad():
                weight.copy_(change(weight, solved.map_of(projection), [tensors[name] for name in names]))
        setattr(pipe, component(pipe), other)
        assert apart(draw(pipe), hooked) < near
        setattr(pipe, component(pipe), model)
    assert apart(conditioned(pipe, solved.context_map), hooked) < near


def written(weight, context_map, lora):
    return context_map.apply_to_weight(weight)


def added(weight, context_map, lora):
    up, down = lora
    return weight + up @ down


def sorted_layers(tensors, chosen, inputs):
    from edit_assumption.editing.projections import lora_name

    return [[f"{lora_name(one, inputs.family)}.lora_{side}.weight" for side in ("up", "down")] for one in chosen]


def conditioned(pipe, context_map):
    """The unedited pipeline, handed mapped embeddings."""
    told = {"prompt": SOURCE, "device": "cpu", "num_images_per_prompt": 1}
    if isinstance(pipe, diffusers.FluxPipeline):
        rows, pooled, _ = pipe.encode_prompt(**told, prompt_2=None)
        return draw(pipe, None, prompt_embeds=context_map.apply(rows), pooled_prompt_embeds=pooled)
    if isinstance(pipe, diffusers.StableDiffusion3Pipeline):
        rows, negative, *pooled = pipe.encode_prompt(**told, prompt_2=None, prompt_3=None)
    elif isinstance(pipe, diffusers.PixArtAlphaPipeline):
        rows, mask, negative, negative_mask = pipe.encode_prompt(**told)
        masks = {"prompt_attention_mask": mask, "negative_prompt_attention_mask": negative_mask, "negative_prompt": None}
        both = {"prompt_embeds": context_map.apply(rows), "negative_prompt_embeds": context_map.apply(negative)}
        return draw(pipe, None, **both, **masks)
    else:
        rows, negative, *pooled = pipe.encode_prompt(**told, do_classifier_free_guidance=True)
    more = dict(zip(("pooled_prompt_embeds", "negative_pooled_prompt_embeds"), pooled, strict=False))
    both = {"prompt_embeds": context_map.apply(rows), "negative_prompt_embeds": context_map.apply(negative)}
    return draw(pipe, None, **both, **more)


@pytest.mark.parametrize("build", [entry for entry in FAMILIES if entry.id in ("SDXL", "SD3", "Flux")])
def test_the_pooled_embedding_is_edited_where_that_is_asked(build):
    pipe = quiet(build())
    with ea.edited(pipe, LINE, **IDENTITY):
        without = draw(pipe)
    with ea.edited(pipe, f"{LINE}\n! pooled: yes", **IDENTITY) as edit:
        both = draw(pipe)
        inputs, solved = text_inputs(pipe), edit.edit
    (layer,) = (projection for projection in inputs.chosen(solved) if projection.kind == POOLED)
    weight = getattr(pipe, component(pipe)).get_parameter(layer.key)
    before = weight.detach().clone()
    with torch.no_grad():
        weight.copy_(solved.pooled_map.padded(weight.shape[1]).apply_to_weight(weight))
    with ea.edited(pipe, LINE, **IDENTITY):
        wanted = draw(pipe)
    with torch.no_grad():
        weight.copy_(before)
    assert apart(both, without) > 1e-6 and apart(both, wanted) < 1e-3 * apart(both, without)


def test_the_example_of_the_documentation(pipe, tmp_path):
    plain = draw(pipe)
    edit = ea.edit_pipeline(pipe, LINE)
    full = draw(pipe)
    assert apart(full, plain) > 0.01 and edit.is_on and edit.strength == 1
    assert torch.equal(draw(edit.off().pipe), plain) and not edit.is_on
    half = draw(edit.on(strength=0.5).pipe)
    assert apart(half, plain) > 0.005 and apart(half, full) > 0.005
    edit.on(1)
    assert torch.equal(draw(pipe), full) and "1 more" not in edit.report and "keys changed by" in edit.report
    edit.on(0.5).save(tmp_path / "half.safetensors")
    assert ea.load_edit(tmp_path / "half.safetensors").recipe.to_text() == f"{LINE} @ 0.5"
    edit.on(1).save(tmp_path / "roses.safetensors")
    edit.remove()
    edit.remove()
    assert torch.equal(draw(pipe), plain)
    with pytest.raises(ea.EditError, match="was removed"):
        edit.on()
    again = ea.apply_edit(pipe, ea.load_edit(tmp_path / "roses.safetensors"))
    assert apart(draw(pipe), full) < 1e-4
    again.remove()
    with ea.edited(pipe, edit):
        assert apart(draw(pipe), full) < 1e-4
    assert torch.equal(draw(pipe), plain)


def test_a_block_of_code_leaves_an_edit_as_it_was(pipe):
    edit = ea.edit_pipeline(pipe, LINE, strength=0.5)
    half = draw(pipe)
    with ea.edited(pipe, edit, strength=1.0) as same:
        assert same is edit and edit.strength == 1 and not torch.equal(draw(pipe), half)
    assert edit.is_on and edit.strength == 0.5 and torch.equal(draw(pipe), half)
    edit.off()
    with ea.edited(pipe, edit):
        assert torch.equal(draw(pipe), half)
    assert not edit.is_on and not torch.equal(draw(pipe), half)


def test_several_edits_are_solved_together_in_any_order(pipe):
    lines = [LINE, "a cat -> a black cat", "a doctor -> a female doctor"]
    with ea.edited(pipe, "\n".join(lines)):
        wanted = draw(pipe)
    for order in (lines, lines[::-1]):
        edits = [ea.edit_pipeline(pipe, line) for line in order]
        assert torch.equal(draw(pipe), wanted) and "solved together" in edits[0].report
        edits[0].off()
        rest = draw(pipe)
        edits[0].remove()
        assert torch.equal(draw(pipe), rest)
        for edit in edits:
            edit.remove()


def test_edits_with_other_settings_act_in_turn(pipe):
    first = ea.edit_pipeline(pipe, LINE, **IDENTITY)
    second = ea.edit_pipeline(pipe, "a cat -> a black cat", regularization=0.5)
    both, maps = draw(pipe), [edit.edit.context_map for edit in (first, second)]
    for edit in (first, second):
        edit.remove()
    unet = copy.deepcopy(pipe.unet)
    with torch.no_grad():
        for name, weight in pipe.unet.named_parameters():
            if ".attn2.to_k." in name or ".attn2.to_v." in name:
                weight.copy_(maps[1].apply_to_weight(maps[0].apply_to_weight(weight)))
    assert apart(draw(pipe), both) < 1e-4
    pipe.unet = unet


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("setting", ["! projections: values", "! projections: keys", "! blocks: down"])
def test_keys_or_values_or_blocks_alone(pipe, setting, fused):
    if fused:
        pipe.fuse_qkv_projections()
    with ea.edited(pipe, f"{LINE}\n{setting}") as edit:
        part, solved, chosen = draw(pipe), edit.edit, text_inputs(pipe).chosen(edit.edit)
    pipe.unfuse_qkv_projections() if fused else None
    with torch.no_grad():
        for projection in chosen:
            weight = pipe.unet.get_parameter(projection.key)
            weight.copy_(solved.context_map.apply_to_weight(weight))
    assert apart(draw(pipe), part) < 1e-4 and 0 < len(chosen) < len(text_inputs(pipe).projections)


def test_layers_that_were_fused_under_an_edit_of_some_are_an_error(pipe):
    ea.edit_pipeline(pipe, f"{LINE}\n! projections: values")
    pipe.fuse_qkv_projections()
    with pytest.raises(ea.EditError, match="put it on again"):
        draw(pipe)


def lora(pipe):
    peft = pytest.importorskip("peft")
    torch.manual_seed(1)
    pipe.unet.add_adapter(peft.LoraConfig(r=2, target_modules=["to_k", "to_v", "to_q"], init_lora_weights=False), "one")
    for name, weight in pipe.unet.named_parameters():
        if "lora_" in name:
            weight.data.mul_(0.3)


def fused_lora(pipe):
    lora(pipe)
    pipe.fuse_lora()


def offloaded(pipe):
    for part in (pipe.unet, pipe.text_encoder, pipe.vae):
        accelerate.cpu_offload(part, execution_device="cpu")


def offloaded_as_wholes(pipe):
    for part in (pipe.unet, pipe.text_encoder, pipe.vae):
        accelerate.cpu_offload_with_hook(part, execution_device="cpu")


WAYS = {
    "fp16": lambda pipe: pipe.to(torch.float16),
    "bf16": lambda pipe: pipe.to(torch.bfloat16),
    "sequential offload": offloaded,
    "model offload": offloaded_as_wholes,
    "VAE slicing": lambda pipe: pipe.vae.enable_slicing(),
    "fused projections": lambda pipe: pipe.fuse_qkv_projections(),
    "compiled": lambda pipe: setattr(pipe, "unet", torch.compile(pipe.unet, backend="eager")),
    "compiled in place": lambda pipe: pipe.unet.compile(backend="eager"),
    "attention processors": lambda pipe: pipe.unet.set_attn_processor(diffusers.models.attention_processor.AttnProcessor()),
    "LoRA": lora,
    "fused LoRA": fused_lora,
    "LoRA at half": lambda pipe: (lora(pipe), pipe.set_adapters("one", 0.5)),
}


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("way", WAYS)
def test_an_edit_acts_whatever_was_done_to_the_pipeline(pipe, way, order):
    torch._dynamo.reset()
    edit = ea.edit_pipeline(pipe, LINE) if order == "after" else None
    WAYS[way](pipe)
    edit = edit or ea.edit_pipeline(pipe, LINE)
    edited = draw(pipe)
    edit.off()
    plain = draw(pipe)
    half = way in ("fp16", "bf16")
    assert apart(edited, plain) > 0.01
    if "offload" not in way:  # whose hooks move what the pipeline hands on
        assert apart(conditioned(pipe, edit.edit.context_map), edited) < (0.2 if half else 1e-3) * apart(edited, plain)
    torch._dynamo.reset()


def test_a_pipeline_with_a_device_map(tmp_path):
    tiny_models.write_pipeline(tmp_path)
    pipe = quiet(diffusers.StableDiffusionPipeline.from_pretrained(tmp_path, device_map="balanced", safety_checker=None))
    plain = draw(pipe)
    edit = ea.edit_pipeline(pipe, LINE)
    edited = draw(pipe)
    assert apart(edited, plain) > 0.01 and apart(conditioned(pipe, edit.edit.context_map), edited) > 0.01
    assert torch.equal(draw(edit.off().pipe), plain)
    assert apart(conditioned(pipe, edit.edit.context_map), edited) < 1e-4


def test_a_pipeline_made_from_an_edited_one_is_edited_as_long_as_it_is(pipe):
    plain = draw(pipe)
    edit = ea.edit_pipeline(pipe, LINE)
    edited = draw(pipe)
    other = quiet(diffusers.StableDiffusionImg2ImgPipeline.from_pipe(pipe))
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    told = dict(image=image, strength=1.0, num_inference_steps=2, output_type="latent")

    def redraw():
        return other(SOURCE, generator=torch.Generator().manual_seed(1), **told).images

    with_edit = redraw()
    edit.off()
    without = redraw()
    assert apart(with_edit, without) > 0.01 and torch.equal(draw(pipe), plain)
    second = ea.edit_pipeline(other, LINE)
    assert apart(redraw(), with_edit) < 1e-4 and torch.equal(draw(pipe), plain)
    second.remove()
    edit.on()
    assert torch.equal(draw(pipe), edited)


def redraw(kind, components, **more):
    other = quiet(kind(**components, requires_safety_checker=False))
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    told = dict(num_inference_steps=2, height=16, width=16, output_type="latent", **more)
    told = {name: image if isinstance(value, str) and value == "image" else value for name, value in told.items()}

    def drawn():
        return other(SOURCE, generator=torch.Generator().manual_seed(1), **told).images

    return other, drawn


def test_inpainting(pipe):
    kind = diffusers.StableDiffusionInpaintPipeline
    check_drawn(*redraw(kind, pipe.components, image="image", mask_image=torch.ones(1, 1, 16, 16), strength=1.0))


def test_a_controlnet_reads_the_text_as_it_was(pipe):
    torch.manual_seed(3)
    net = diffusers.ControlNetModel.from_unet(pipe.unet, conditioning_embedding_out_channels=(8, 8))
    for name, weight in net.named_parameters():
        if "controlnet_" in name:
            torch.nn.init.normal_(weight, std=0.1)  # they begin with zeros
    read = []
    net.register_forward_pre_hook(lambda _, args, told: read.append(told["encoder_hidden_states"]), with_kwargs=True)
    components = {**pipe.components, "controlnet": net}
    check_drawn(*redraw(diffusers.StableDiffusionControlNetPipeline, components, image="image"))
    assert all(torch.equal(text, read[0]) for text in read)


def check_drawn(pipe, drawn):
    plain = drawn()
    edit = ea.edit_pipeline(pipe, LINE)
    assert apart(drawn(), plain) > 0.01
    assert torch.equal(edit.off() and drawn(), plain)


def test_two_pipelines_that_share_a_unet_serve_at_the_same_time(pipe):
    other = quiet(diffusers.StableDiffusionPipeline(**pipe.components, requires_safety_checker=False))
    other.scheduler = copy.deepcopy(pipe.scheduler)
    assert other.unet is pipe.unet
    # Embeddings, since transformers' own encoders mix up what several threads ask of one of them at the same time.
    rows, negative = pipe.encode_prompt(SOURCE, "cpu", 1, True)
    text = {"prompt_embeds": rows, "negative_prompt_embeds": negative}
    plain = draw(other, None, **text)
    ea.edit_pipeline(pipe, f"{LINE}\n! projections: values")
    edited = draw(pipe, None, **text)
    assert torch.equal(draw(other, None, **text), plain) and apart(edited, plain) > 0.01
    drawn = {"plain": [], "edited": []}
    threads = [
        threading.Thread(target=lambda name=name, own=own: drawn[name].extend(draw(own, None, **text) for _ in range(4)))
        for name, own in (("plain", other), ("edited", pipe))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Where threads share the cores, sums are not always taken in the same order.
    assert max(apart(picture, plain) for picture in drawn["plain"]) < 1e-4 and len(drawn["plain"]) == 4
    assert max(apart(picture, edited) for picture in drawn["edited"]) < 1e-4 and len(drawn["edited"]) == 4


def test_concepts_by_the_same_two_functions(pipe, tmp_path):
    other = quiet(diffusers.StableDiffusionPipeline(**pipe.components, requires_safety_checker=False))
    plain = draw(pipe, "a photo of a rose")
    edit = ea.edit_pipeline(
        pipe, "! mode: text\nrose -> cat", captions=["a photo of a house", "a red apple", "a cat on a field"]
    )
    edited = draw(pipe, "a photo of a rose")
    assert apart(edited, plain) > 0.01 and torch.equal(draw(other, "a photo of a rose"), plain)
    edit.save(tmp_path / "cat.safetensors")
    edit.remove()
    assert torch.equal(draw(pipe, "a photo of a rose"), plain)
    with ea.edited(pipe, ea.load_edit(tmp_path / "cat.safetensors")):
        assert apart(draw(pipe, "a photo of a rose"), edited) < 1e-4


def test_what_is_saved_says_that_the_edit_is_not_in_it(pipe, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        pipe.save_pretrained(tmp_path / "before")
    edit = ea.edit_pipeline(pipe, LINE)
    for number, saved in enumerate((pipe, pipe.unet)):
        with pytest.warns(UserWarning, match=r"edit\.save_lora") as said:
            saved.save_pretrained(tmp_path / str(number))
        assert len([entry for entry in said if "edit.save" in str(entry.message)]) == 1
    edit.off()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        pipe.save_pretrained(tmp_path / "off")
    again = quiet(diffusers.StableDiffusionPipeline.from_pretrained(tmp_path / "0", safety_checker=None))
    assert torch.equal(draw(again), draw(pipe))


def test_a_saved_lora_adapter_says_so_too(pipe, tmp_path):
    lora(pipe)
    ea.edit_pipeline(pipe, LINE)
    with pytest.warns(UserWarning, match=r"edit\.save_lora"):
        pipe.unet.save_lora_adapter(tmp_path, adapter_name="one")
    assert load_file(tmp_path / "pytorch_lora_weights.safetensors")


def test_an_edit_that_cannot_be_put_on_leaves_all_as_it_was(pipe):
    edit = ea.edit_pipeline(pipe, LINE)
    edited = draw(pipe)
    with pytest.raises(ea.EditError, match="block"):
        ea.edit_pipeline(pipe, "a cat -> a black cat\n! blocks: input_blocks.77")
    with pytest.raises(ea.EditError, match="strength"):
        edit.on(strength=7)
    assert torch.equal(draw(pipe), edited) and edit.is_on and edit.strength == 1


def test_an_edit_for_another_text_encoder_is_refused(pipe):
    other = tiny_families.sd1()
    edit = ea.make_edit(ea.parse_recipe(LINE, **IDENTITY), encoder_of(other))
    with pytest.raises(ea.EditError, match="another text encoder"):
        ea.apply_edit(pipe, edit)


ENDS = """
import sys
import edit_assumption as ea, tiny_models
pipe = tiny_models.new_pipeline()
ea.edit_pipeline(pipe, "a cat -> a black cat")
ea.edit_pipeline(pipe, "a dog -> a red dog\\n! projections: values")
ea.edit_pipeline(pipe, "! mode: text\\nrose -> cat", captions=["a house", "a red apple", "a cat on a field"])
"""


def test_a_program_that_ends_with_edits_on_ends_in_silence():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, "-c", ENDS], capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and "Traceback" not in done.stderr and "Exception ignored" not in done.stderr, done.stderr


def test_naming_the_package_imports_neither_torch_nor_diffusers():
    code = "import sys, edit_assumption as ea; ea.__version__, dir(ea); assert not {'torch', 'diffusers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there():
    assert set(ea.__all__) <= set(dir(ea)) and all(getattr(ea, name) is not None for name in ea.__all__)
    assert "Any" not in dir(ea)
    with pytest.raises(AttributeError, match="no attribute 'edits'"):
        _ = ea.edits
