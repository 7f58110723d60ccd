"""Edits on diffusers pipelines whose model reads a language model's rows within a template, or T5's alone."""

import dataclasses
import inspect
import warnings

import pytest
import torch

pytest.importorskip("diffusers")

import edit_assumption as ea
import tiny_language_pipelines
from edit_assumption.editing.assumptions.behind_norm import mapped_behind
from edit_assumption.editing.errors import EditError
from edit_assumption.pipelines.cache_folder import VARIABLE
from edit_assumption.pipelines.text_encoding import encoder_of
from edit_assumption.pipelines.text_models import components, text_inputs
from safetensors.torch import load_file

SOURCE, DESTINATION = "a red rose", "a blue rose"
LINE = f"{SOURCE} -> {DESTINATION}"
EXACT = {"regularizer": "identity", "regularization": 1e-8, "augmentations": ()}
PIPELINES = [pytest.param(build, id=name) for name, build in tiny_language_pipelines.PIPELINES.items()]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """No test reads or leaves files in the user's own cache."""
    monkeypatch.setenv(VARIABLE, str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def pipe(request):
    made = request.param()
    made.set_progress_bar_config(disable=True)
    return made


def draw(pipe, prompt=SOURCE, guided=False):
    taken = inspect.signature(type(pipe).__call__).parameters
    more = {"num_frames": 1} if "num_frames" in taken else {}
    if not guided:  # negative prompts are edited as well, so that only without them a picture is the destination's
        more["guidance_scale"] = 0.0 if type(pipe).__name__ == "ZImagePipeline" else 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        drawn = pipe(
            prompt=prompt, generator=torch.Generator().manual_seed(1), num_inference_steps=2, height=32, width=32,
            output_type="latent", **more,
        )  # fmt: skip
    return (drawn.images if "images" in drawn else drawn.frames).float()


def apart(one, other):
    return float((one - other).norm())


@pytest.mark.parametrize("pipe", PIPELINES, indirect=True)
def test_a_prompts_own_tokens_are_found_within_its_template(pipe):
    (prompt,) = encoder_of(pipe)([SOURCE])
    assert [prompt.tokens[place] for place in prompt.words] == ["▁a", "▁red", "▁rose"]
    (empty,) = encoder_of(pipe)([""])
    assert not empty.words


@pytest.mark.parametrize("pipe", PIPELINES, indirect=True)
def test_the_sources_picture_is_the_destinations(pipe):
    plain, wanted = draw(pipe), draw(pipe, DESTINATION)
    weights = [weight.clone() for weight in pipe.transformer.parameters()]
    with ea.edited(pipe, LINE, **EXACT):
        edited = draw(pipe)
    assert apart(edited, wanted) < 1e-3 * apart(plain, wanted)
    assert torch.equal(draw(pipe), plain)
    assert all(torch.equal(one, other) for one, other in zip(weights, pipe.transformer.parameters(), strict=True))


@pytest.mark.parametrize("pipe", PIPELINES, indirect=True)
def test_an_edit_is_its_map_of_all_that_the_pipeline_encodes(pipe):
    with ea.edited(pipe, LINE, regularizer="identity") as edit:
        edited, solved = draw(pipe, guided=True), edit.edit
    encode, plain = pipe.encode_prompt, draw(pipe, guided=True)
    width = solved.context_map.width

    def is_text(part):
        return isinstance(part, torch.Tensor) and part.is_floating_point() and part.shape[-1] == width

    def mapped(part):
        if isinstance(part, list):
            return [mapped(entry) for entry in part]
        return mapped_behind(part, solved.norms, solved.context_map.apply) if is_text(part) else part

    def encode_mapped(*args, **kwargs):
        return tuple(mapped(part) for part in encode(*args, **kwargs))

    pipe.encode_prompt = encode_mapped
    assert apart(draw(pipe, guided=True), edited) < 1e-4 * apart(plain, edited)


def test_both_transformers_of_wan_are_edited():
    pipe = tiny_language_pipelines.wan22()
    calls = []
    for name in ("transformer", "transformer_2"):
        getattr(pipe, name).register_forward_pre_hook(
            lambda module, args, kwargs, name=name: calls.append((name, kwargs["encoder_hidden_states"])), with_kwargs=True
        )
    pipe.set_progress_bar_config(disable=True)
    draw(pipe)
    plain = dict(calls)
    with ea.edited(pipe, LINE, **EXACT):
        draw(pipe)
    assert plain.keys() == {"transformer", "transformer_2"}
    assert all(not torch.equal(rows, plain[name]) for name, rows in calls[-2:])


@pytest.mark.parametrize("pipe", PIPELINES, indirect=True)
def test_a_lora_draws_the_destinations_picture_or_says_why_not(pipe, tmp_path):
    plain, wanted = draw(pipe), draw(pipe, DESTINATION)
    with ea.edited(pipe, LINE, **EXACT) as edit:
        if len(components(pipe)) > 1:
            with pytest.raises(EditError, match="has two transformers"):
                edit.save_lora(tmp_path / "lora.safetensors")
            return
        edit.save_lora(tmp_path / "lora.safetensors")
    tensors = load_file(tmp_path / "lora.safetensors")
    up, down = (next(part for name, part in tensors.items() if side in name) for side in ("lora_up", "lora_down"))
    (layer,) = text_inputs(pipe).projections
    with torch.no_grad():
        pipe.transformer.get_parameter(layer.key).add_(up @ down)
    assert apart(draw(pipe), wanted) < 1e-3 * apart(plain, wanted)


@pytest.mark.parametrize("pipe", PIPELINES[:1], indirect=True)
def test_an_edit_that_was_solved_without_the_norm_is_refused(pipe, tmp_path):
    with ea.edited(pipe, LINE, **EXACT) as edit:
        solved = edit.edit
    assert solved.norms == 1
    with pytest.raises(EditError, match="norms stand before the weights that read text, and this edit was solved without"):
        ea.apply_edit(pipe, dataclasses.replace(solved, norms=0))


@pytest.mark.parametrize("pipe", PIPELINES[:1], indirect=True)
def test_nothing_is_drawn_by_chance(pipe):
    plain = draw(pipe)
    with pytest.raises(EditError, match="nothing can be drawn by chance yet"):
        ea.edit_pipeline(pipe, f"{SOURCE} -> {DESTINATION} | a rose", regularizer="identity")
    assert torch.equal(draw(pipe), plain)


@pytest.mark.parametrize("pipe", PIPELINES[:1], indirect=True)
@pytest.mark.parametrize("rows", [slice(None, -2), slice(0, 0)], ids=["others", "none"])
def test_rows_of_unknown_tokens_are_refused(pipe, rows):
    encode = pipe.encode_prompt
    pipe.encode_prompt = lambda **told: (encode(**told)[0][:, rows], None)
    with pytest.raises(EditError, match="It is not known which tokens"):
        encoder_of(pipe)


@pytest.mark.parametrize("pipe", PIPELINES[:1], indirect=True)
def test_a_left_out_text_encoder_is_named(pipe):
    pipe.text_encoder = None
    with pytest.raises(EditError, match="has no text_encoder"):
        ea.edit_pipeline(pipe, LINE)
