"""diffusers' old class for TIME, under its name and arguments: its documentation's example, and its numbers."""

import contextlib
import copy

import pytest
import torch

pytest.importorskip("diffusers")

import diffusers
import edit_assumption as ea
import tiny_families
from edit_assumption.diffusers import StableDiffusionModelEditingPipeline
from edit_assumption.editing.assumptions.context_map import weight_change
from edit_assumption.pipelines.cache_folder import VARIABLE
from edit_assumption.pocket.model import pipeline

SOURCE, DESTINATION, LAMBDA = "A pack of roses", "A pack of blue roses", 0.1
# From diffusers' documentation, its import line changed.
EXAMPLE = """
import torch
from edit_assumption.diffusers import StableDiffusionModelEditingPipeline

model_ckpt = "CompVis/stable-diffusion-v1-4"
pipe = StableDiffusionModelEditingPipeline.from_pretrained(model_ckpt)

pipe = pipe.to("cuda")

source_prompt = "A pack of roses"
destination_prompt = "A pack of blue roses"
pipe.edit_model(source_prompt, destination_prompt)

prompt = "A field of roses"
image = pipe(prompt).images[0]
image.save("field_of_roses.png")
"""


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """No test reads or leaves files in the user's own cache."""
    monkeypatch.setenv(VARIABLE, str(tmp_path_factory.getbasetemp() / "cache"))


def new_pipeline(**options):
    pipe = StableDiffusionModelEditingPipeline(**tiny_families.sd1().components, requires_safety_checker=False, **options)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(pipe, prompt=SOURCE):
    told = dict(num_inference_steps=2, height=16, width=16, output_type="latent")
    return pipe(prompt, generator=torch.Generator().manual_seed(1), **told).images


@pytest.mark.parametrize("model", [pipeline, tiny_families.sd1], ids=["the bundled model", "a folder of SD 1.x"])
def test_the_documentations_example_runs(model, tmp_path, monkeypatch):
    folder = tmp_path / "model"
    model().save_pretrained(folder)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(EXAMPLE.replace("CompVis/stable-diffusion-v1-4", str(folder)).replace("cuda", "cpu"), names)
    assert (tmp_path / "field_of_roses.png").stat().st_size > 100
    edited = draw(names["pipe"])
    names["pipe"].restart_params()
    assert float((draw(names["pipe"]) - edited).abs().max()) > 0.1


@contextlib.contextmanager
def published(model):
    """diffusers' own class, which finds cross-attention by a name that it no longer has."""
    pipelines = pytest.importorskip(
        "diffusers.pipelines.deprecated.stable_diffusion_variants.pipeline_stable_diffusion_model_editing",
        reason="this diffusers has no published implementation of TIME any more",
    )
    attention, before = diffusers.models.attention_processor.Attention, torch.get_default_dtype()
    name, attention.__name__ = attention.__name__, "CrossAttention"
    torch.set_default_dtype(torch.float64)
    try:
        yield pipelines.StableDiffusionModelEditingPipeline(**model, requires_safety_checker=False)
    finally:
        attention.__name__ = name
        torch.set_default_dtype(before)


@pytest.mark.parametrize("with_to_k", [True, False])
def test_with_lambda_it_is_the_published_one_to_a_millionth(with_to_k):
    ours = new_pipeline(with_to_k=with_to_k, with_augs=[])
    for part in (ours.unet, ours.text_encoder):
        part.double()
    parts = {name: copy.deepcopy(part) for name, part in ours.components.items() if name != "image_encoder"}
    with published(parts) as theirs:
        theirs.with_to_k, theirs.with_augs = with_to_k, []
        theirs.projection_matrices = [
            layer for layer in theirs.projection_matrices if with_to_k or layer in [own.to_v for own in theirs.ca_clip_layers]
        ]
        theirs.edit_model(SOURCE, DESTINATION, lamb=LAMBDA)
    edit = ours.edit_model(SOURCE, DESTINATION, lamb=LAMBDA)
    before, after = ours.unet.state_dict(), theirs.unet.state_dict()
    changed = sorted(name for name in before if not torch.equal(before[name], after[name]))
    assert changed == sorted(name for name in before if ".attn2.to_v." in name or (with_to_k and ".attn2.to_k." in name))
    left, right = edit.edit.context_map.left, edit.edit.context_map.right
    for name in changed:
        theirs_moved = after[name] - before[name]
        ours_moved = weight_change(before[name], left.double(), right.double())
        assert float((ours_moved - theirs_moved).norm()) < 1e-6 * float(theirs_moved.norm())


def test_restart_params_takes_earlier_edits_off_and_without_it_they_stay():
    pipe = new_pipeline()
    plain = draw(pipe)
    pipe.edit_model(SOURCE, DESTINATION, lamb=LAMBDA)
    first = draw(pipe)
    pipe.edit_model("a cat", "a red cat", lamb=LAMBDA, restart_params=False)
    both = draw(pipe)
    pipe.edit_model(SOURCE, DESTINATION, lamb=LAMBDA)
    assert torch.equal(draw(pipe), first) and not torch.equal(first, plain) and not torch.equal(both, first)
    pipe.restart_params()
    assert torch.equal(draw(pipe), plain)


def test_without_lambda_it_is_our_default():
    pipe = new_pipeline()
    edit = pipe.edit_model(SOURCE, DESTINATION)
    edited = draw(pipe)
    assert edit.edit.recipe.regularizer == "captions"
    pipe.restart_params()
    with ea.edited(pipe, f"{SOURCE} -> {DESTINATION}"):
        assert torch.equal(draw(pipe), edited)


def test_sentences_are_the_callers():
    told = new_pipeline(with_augs=["A drawing of "]).edit_model(SOURCE, DESTINATION, lamb=LAMBDA).edit.recipe
    assert told.pairs[0].augmentations == ("A drawing of",)
    assert new_pipeline(with_augs=[]).edit_model(SOURCE, DESTINATION, lamb=LAMBDA).edit.recipe.pairs[0].augmentations == ()
