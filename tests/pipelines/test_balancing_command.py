"""The command ``concepts`` with --balance: shares that a judge has seen in pictures, and what it refuses."""

import re

import clip_helpers
import pytest
import torch

pytest.importorskip("diffusers", reason="diffusers is not installed")

import tiny_models
from edit_assumption.cli import main
from edit_assumption.editing.edit_file import load_edit
from edit_assumption.editing.errors import EditError
from edit_assumption.pipelines.draw import draw_pictures
from edit_assumption.pipelines.pipeline_concepts import edited_text
from edit_assumption.pipelines.pipeline_judges import ClipJudge, pocket_judge
from edit_assumption.pocket.model import GUIDANCE, STEPS, pipeline

HATS = "wizard -> wizard with a hat | wizard without a hat"
PICTURES = 8


@pytest.fixture(scope="module")
def judge_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judge")
    tiny_models.write_clip(folder)
    return folder


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pipeline")
    tiny_models.write_pipeline(folder)
    return folder


def shares(said, source):
    """(pictures, found and wanted in percent of each variant) as the command tells them."""
    (line,) = [line for line in said.splitlines() if line.startswith(f"{source} (")]
    return int(re.search(r"\((\d+) pictures", line)[1]), [float(number) for number in re.findall(r"([\d.]+) %", line)]


def test_the_pocket_model_is_balanced_and_what_is_told_is_what_the_edit_shows(tmp_path, capsys):
    out = tmp_path / "edit.safetensors"
    command = ["concepts", "--cache", str(tmp_path / "cache"), "--lines", HATS, "--out", str(out)]
    assert main(command) == 0
    assert "Shares were not measured" in capsys.readouterr().out
    assert load_edit(out).recipe.concepts[0].shares == (0.5, 0.5)
    assert main([*command, "--balance", "3", "--balance-pictures", str(PICTURES), "--seed", "0"]) == 0
    said = capsys.readouterr().out
    edit, rounds = load_edit(out), int(re.search(r"balanced in (\d) round", said)[1])
    assert rounds > 1 and edit.recipe.concepts[0].shares[0] < 0.5  # a wizard has a hat nearly always
    pipe, seeds = pipeline(), range((rounds - 1) * PICTURES, rounds * PICTURES)
    with edited_text(pipe, edit):
        pictures = draw_pictures(pipe, ["a wizard"] * PICTURES, seeds, STEPS, GUIDANCE)
    answers = pocket_judge()(pictures, ["a wizard with a hat", "a wizard without a hat"])
    seen, (first, *_) = shares(said, "wizard")
    assert seen == PICTURES - answers.count(None) and first == pytest.approx(100 * answers.count(0) / seen, abs=0.6)


def test_another_model_is_balanced_by_a_clip(judge_folder, tiny_folder, tmp_path, capsys):
    lines = "doctor -> female doctor: 3 | male doctor: 1\nrose -> tulip\ncat -> red cat | blue cat"
    (tmp_path / "captions.txt").write_text("a photo of a house\na dog on the field\nan apple")
    out, sampling = tmp_path / "edit.safetensors", ["--steps", "1", "--guidance", "1"]
    command = ["concepts", "--model", str(tiny_folder), "--mode", "text", "--cache", str(tmp_path), "--lines", lines]
    command += ["--captions", str(tmp_path / "captions.txt"), "--out", str(out)]
    balance = ["--balance", "2", "--balance-pictures", "3", "--judge", str(judge_folder)]
    assert main([*command, *balance, *sampling]) == 0
    said = capsys.readouterr().out
    for source, wanted in (("doctor", [75, 25]), ("cat", [50, 50])):
        seen, found = shares(said, source)
        assert seen == 3 and found[1::2] == wanted and sum(found[::2]) == pytest.approx(100, abs=1)  # CLIP always names one
    assert load_edit(out).recipe.concepts[1].destination == "tulip"


def test_a_clip_names_the_text_that_is_nearest(judge_folder):
    judge, prompts = ClipJudge(str(judge_folder)), ["a rose", "a photo of a red cat", "a blue house"]
    pictures = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    answers = judge(pictures, prompts)
    with torch.no_grad():
        texts = clip_helpers.clip_tokenizer()(prompts, padding="max_length", return_tensors="pt")
        given = judge.processor(images=list(((pictures + 1) * 127.5).round().to(torch.uint8)), return_tensors="pt")
        halves = judge.model(**texts, **given)
    image, text = (torch.nn.functional.normalize(half, dim=1) for half in (halves.image_embeds, halves.text_embeds))
    assert answers == (image @ text.T).argmax(1).tolist() and len(set(answers)) > 1


def test_a_pocket_judge_says_what_it_does_not_know():
    with pytest.raises(EditError, match="“a zeppelin” names nothing that the pocket model draws"):
        pocket_judge()(torch.zeros(1, 3, 48, 48), ["a wizard", "a zeppelin"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--lines", "rose -> tulip", "--balance", "2"], "No line is debiased, so there is nothing to balance"),
        (["--lines", "rose -> tulip: 2 | bee: -1", "--balance", "2"], "A part of “rose” is not above 0"),
        (["--lines", HATS, "--judge", "any"], "add --balance 4, or leave --judge out"),
        (["--lines", HATS, "--balance", "-1"], "numbers above 0"),
        (["--lines", HATS, "--balance", "1", "--balance-pictures", "0"], "numbers above 0"),
        (["--lines", HATS, "--balance", "1", "--model", "any"], "add --judge with a CLIP model"),
        (["--lines", HATS, "--balance", "1", "--judge", "no/such/folder"], "The judge “no/such/folder” cannot be loaded"),
    ],
)
def test_what_cannot_be_balanced_is_said_before_the_work(arguments, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(["concepts", "--cache", str(tmp_path / "cache"), *arguments]) == 2
    assert sentence in capsys.readouterr().err and not (tmp_path / "cache").exists()
