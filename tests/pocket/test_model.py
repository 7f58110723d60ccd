"""The pocket model as it ships: what it draws, who judges it, and the commands that use it."""

import json
import random
from collections import Counter

import pytest
import torch
from PIL import Image

pytest.importorskip("diffusers", reason="diffusers is not installed")

from edit_assumption.cli import main
from edit_assumption.editing.assumptions.edit import make_edit
from edit_assumption.editing.assumptions.moments import read_captions
from edit_assumption.editing.assumptions.prompt_pair import PromptPair
from edit_assumption.editing.assumptions.recipe import Recipe
from edit_assumption.evaluation.pocket_accuracy import judge_accuracy, model_accuracy, requests, through_autoencoder
from edit_assumption.pipelines.generate import generate
from edit_assumption.pipelines.pipeline_encoder import PipelineEncoder
from edit_assumption.pocket import WEIGHTS
from edit_assumption.pocket.captions import ordinary_captions
from edit_assumption.pocket.dataset import draw, pictures
from edit_assumption.pocket.judge import load_judge
from edit_assumption.pocket.model import pipeline
from edit_assumption.pocket.scenes import Scene, random_scene
from edit_assumption.pocket.words import ROLES


@pytest.fixture(scope="module")
def pipe():
    return pipeline()


@pytest.fixture(scope="module")
def judge():
    return load_judge()


def edit_of(pipe):
    encode = PipelineEncoder(pipe)
    recipe = Recipe((PromptPair("a rose", "a blue rose"),))
    return make_edit(recipe, encode, moment=read_captions(encode, ordinary_captions()))


def test_it_fits_into_a_pocket():
    sizes = {file: file.stat().st_size for file in WEIGHTS.rglob("*.safetensors")}
    assert sum(size for file, size in sizes.items() if file.parent != WEIGHTS) <= 16 * 2**20  # the judge comes beside it


def test_it_is_an_ordinary_pipeline():
    from diffusers import DiffusionPipeline

    pipe = DiffusionPipeline.from_pretrained(WEIGHTS, torch_dtype=torch.float32)
    image = pipe("a rose", num_inference_steps=2, guidance_scale=3.0).images[0]
    assert type(pipe).__name__ == "StableDiffusionPipeline" and image.size == (48, 48)


def test_the_autoencoder_gives_drawings_back(pipe):
    images, _ = pictures("unseen", range(16))
    again = through_autoencoder(pipe, images)
    blank = images.mean(dim=(2, 3), keepdim=True)
    assert (again - images).abs().mean() < 0.4 * (images - blank).abs().mean()


def test_the_judge_knows_drawings(judge):
    for question, (right, asked) in judge_accuracy(judge, 600).items():
        assert right >= 0.97 * asked, question


def test_the_judge_is_certain_of_hats_but_not_of_every_half_hat(judge):
    scenes = [random_scene(random.Random(3), role, (), False) for role in ROLES]
    with_hat, bare = (
        torch.cat([draw([Scene(scene.thing, {**scene.values, "hat": hat})], random.Random(0)) for scene in scenes])
        for hat in ("hat", "bare")
    )
    assert judge.certainty(torch.cat([with_hat, bare]), "hat").min() > 0.999
    assert judge.certainty((with_hat + bare) / 2, "hat").min() < 0.99


def test_the_model_draws_what_is_asked(pipe, judge):
    counts = model_accuracy(pipe, judge, repeats=1, share=0.06)
    right, asked = counts["qualified"]["thing"]
    assert asked >= 50 and right >= 0.85 * asked
    right, asked = counts["unqualified"]["colour"]
    assert asked >= 10 and right >= 0.85 * asked


def test_every_caption_is_asked_as_often_as_wanted():
    once, thrice = Counter(asked[1] for asked in requests(1)), Counter(asked[1] for asked in requests(3))
    assert thrice == {text: 3 * count for text, count in once.items()}


def test_the_same_seed_is_the_same_picture_and_prompts_do_not_mix(pipe):
    together = generate(pipe, ["a rose", "a cat"], [1, 2], steps=2)
    assert torch.allclose(together[1:], generate(pipe, ["a cat"], [2], steps=2), atol=1e-4)
    assert not torch.allclose(together[1:], generate(pipe, ["a cat"], [3], steps=2), atol=1e-2)


def test_an_edit_on_the_embeddings_is_one_on_the_weights(pipe):
    edit = edit_of(pipe)
    mapped = generate(pipe, ["roses in the snow"], [5], edit.context_map, steps=3)
    edited = pipeline()
    for name, module in edited.unet.named_modules():
        if name.endswith(("attn2.to_k", "attn2.to_v")):
            module.weight.data = edit.context_map.apply_to_weight(module.weight.data)
    assert torch.allclose(generate(edited, ["roses in the snow"], [5], steps=3), mapped, atol=1e-3)
    assert not torch.allclose(generate(pipe, ["roses in the snow"], [5], steps=3), mapped, atol=1e-2)


def test_an_edit_is_followed(pipe, judge):
    """The whole point: unedited roses are red, edited ones blue."""
    edit = edit_of(pipe)
    prompts, seeds = ["a rose"] * 16, range(16)
    before, after = (generate(pipe, prompts, seeds, context_map) for context_map in (None, edit.context_map))
    colours = [[answer["colour"] for answer in judge.answers(pictures)] for pictures in (before, after)]
    assert colours[0].count("red") >= 10 and colours[1].count("blue") >= 10


def test_the_demo_makes_its_picture(tmp_path, capsys):
    out = tmp_path / "deep/demo.png"
    assert main(["demo", "--source", "a rose", "--destination", "a blue rose", "--preserve", "a tulip", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "a rose -> a blue rose" in said and "preserved: a tulip" in said and "64 pictures" in said
    with Image.open(out) as picture:
        assert picture.width > 800 and picture.height > 600


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--source", "a roze"], "does not know the word “roze”; the nearest it knows: rose"),
        (["--source", "a rose", "--destination", "a rose"], "nothing would change"),
        (["--source", ""], "source is empty"),
        (["--strength", "3"], "strength"),
    ],
)
def test_the_demo_refuses_with_a_sentence(tmp_path, capsys, arguments, sentence):
    assert main(["demo", *arguments, "--out", str(tmp_path / "no.png")]) == 2
    said = capsys.readouterr().err.strip()
    assert sentence in said and not (tmp_path / "no.png").exists()


def test_the_suite_runs(tmp_path, capsys):
    arguments = ["evaluate", "--edits", "2", "--seeds", "1", "--steps", "2", "--method", "TIME", "--method", "unedited"]
    assert main([*arguments, "--together", "1", "2", "--out", str(tmp_path)]) == 0
    assert "| TIME | 2 |" in capsys.readouterr().out
    results = json.loads((tmp_path / "results.json").read_text())["results"]
    assert [(entry["method"], entry["together"]) for entry in results] == [
        ("TIME", 1), ("unedited", 1), ("TIME", 2), ("unedited", 2),
    ]  # fmt: skip
    assert all(len(shares) == 2 for entry in results for shares in entry["shares"].values())
    assert {file.name for file in tmp_path.iterdir()} == {"results.json", "table.md", "methods.png", "together.png"}
    assert main(["evaluate", "--method", "no such"]) == 2
    assert "no such" in capsys.readouterr().err
