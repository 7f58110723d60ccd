"""``evaluate --data``: the whole protocol on the pocket model, with a tiny file of each format and judges made here."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("diffusers", reason="diffusers is not installed")

import edit_assumption
import tiny_families
import tiny_models
from edit_assumption import cli
from edit_assumption.editing.alignment import align
from edit_assumption.editing.errors import EditError
from edit_assumption.evaluation.joint import Shot
from edit_assumption.evaluation.papers import command, run
from edit_assumption.evaluation.papers.edit_set import BIAS, EFFICACY, GENERALITY, SPECIFICITY, Case, harmonic, value
from edit_assumption.evaluation.papers.formats import read_edit_set
from edit_assumption.evaluation.papers.judges import ClassifierJudge, QuestionJudge, judge_by_name
from edit_assumption.evaluation.papers.paper_methods import CHANCE, EMCID, MethodSettings, paper_methods
from edit_assumption.evaluation.papers.picture_files import UNEDITED, file_name
from edit_assumption.evaluation.papers.quality import CLIP_SCORE, FID, LPIPS, Metrics, Quality, clip_score, own_pictures
from edit_assumption.evaluation.papers.run import groups_of, judged, shots_of
from edit_assumption.evaluation.papers.text_alone import TextAlone
from edit_assumption.evaluation.suite_methods import Seen, time_as_published
from edit_assumption.pipelines.cache_folder import VARIABLE
from edit_assumption.pipelines.command_inputs import settings_of
from edit_assumption.pipelines.draw import draw_pictures
from edit_assumption.pipelines.edited_projections import edited_projections
from edit_assumption.pipelines.pipeline_encoder import PipelineEncoder
from edit_assumption.pipelines.pipeline_judges import ClipJudge, pocket_judge
from edit_assumption.pocket.model import pipeline
from paper_files import write
from PIL import Image

LABELS = ["rose, rosebush", "tulip", "shark", "white shark, man-eater"]
METHODS = ["unedited", "oracle", "TIME", "UCE", "ours"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("papers")
    tiny_models.write_clip(folder / "clip")
    tiny_models.write_classifier(folder / "classifier", LABELS)
    tiny_models.write_vilt(folder / "vilt", ["no", "yes", "two"])
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path_factory.getbasetemp() / "papers-cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="module")
def pipe():
    return pipeline()


def evaluate(path, out, *more):
    return cli.main(["evaluate", "--data", str(path), "--out", str(out), "--steps", "2", "--seeds", "2", *map(str, more)])


def results(out):
    return {entry["method"]: entry for entry in json.loads((out / "results.json").read_text())["results"]}


@pytest.mark.parametrize(
    ("name", "measures", "asked"),
    [
        ("TIMED", [EFFICACY, GENERALITY, SPECIFICITY], ["TIME", "ours"]),
        ("RoAD", [EFFICACY, GENERALITY, SPECIFICITY], METHODS),
        ("gender", [BIAS, "bias Δ, validation prompts"], ["oracle", "TIME", CHANCE]),
        ("artists", [EFFICACY, SPECIFICITY], ["unedited", "UCE", EMCID]),
        ("own", [EFFICACY, GENERALITY, SPECIFICITY], ["unedited", "TIME"]),
    ],
)
def test_every_format_goes_through(name, measures, asked, tmp_path, capsys):
    out, path = tmp_path / "out", write(tmp_path, name)
    more = ["--destination", "tree", "--mode", "text", "--cache", tmp_path / "cache"] if name == "artists" else []
    more += [word for method in asked for word in ("--method", method)]
    assert evaluate(path, out, *more) == 0, capsys.readouterr().err
    found, edits = results(out), read_edit_set(path, "tree" if name == "artists" else "").edits
    assert list(found) == asked
    for entry in found.values():
        assert list(entry["values"]) == measures and all(len(own) == len(edits) for own in entry["values"].values())
        assert entry["together"] == (2 if name == "artists" else 1)
    table = capsys.readouterr().out
    assert all(f"| {method} |" in table for method in asked) and table in (out / "report.md").read_text()
    shown = re.findall(r'src="([^"]+)"', (out / "index.html").read_text())
    assert all((out / path).is_file() for path in shown)
    cases = [case for edit in edits for own in edit.cases.values() for case in own]
    assert len(shown) == len(asked) * sum(len(shots_of(case, range(2), False)) for case in cases)
    assert all(f"<td>{method}</td>" in (out / "index.html").read_text() for method in asked) and not (out / "pictures").exists()


def test_what_is_reported_is_what_the_judge_says_of_the_edited_models_pictures(tmp_path, pipe):
    path, out = write(tmp_path, "TIMED"), tmp_path / "out"
    assert evaluate(path, out, "--method", "TIME", "--keep-pictures") == 0
    edit = read_edit_set(path).edits[0]
    with edited_projections(pipe, time_as_published(Seen.of(pipe), [edit])):
        for measure, cases in edit.cases.items():
            right = []
            for case in cases:
                pictures = draw_pictures(pipe, [case.prompt] * 2, [0, 1], 2, 3.0)
                right += [number == 0 for number in pocket_judge()(pictures, case.choice)]
            assert results(out)["TIME"]["values"][measure][0] == sum(right) / len(right)
    assert len(list((out / "pictures/time").rglob("*.png"))) == 2 * 2 * 5


def test_a_run_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    path, out, drawn = write(tmp_path, "TIMED"), tmp_path / "out", []

    def counted(*arguments, **settings):
        drawn.extend(arguments[1])
        return draw_pictures(*arguments, **settings)

    monkeypatch.setattr(command, "draw_pictures", counted)
    asked = ["--method", "unedited", "--method", "oracle", "--method", "TIME"]
    assert evaluate(path, out, *asked) == 0
    first, count = results(out), len(drawn)
    assert count == 2 * (2 * 5 + 2 * 3 + 2 * 5)  # the oracle's unrelated prompts are the unedited model's
    assert evaluate(path, out, *asked) == 0 and len(drawn) == count and results(out) == first
    (out / "parts/time-1-1.json").unlink()
    assert evaluate(path, out, *asked) == 0 and len(drawn) == count + 10 and results(out) == first
    assert evaluate(path, out, *asked, "--guidance", "2") == 0 and len(drawn) == 2 * count + 10  # another run
    path.write_text(path.read_text().replace("a bus", "a star"))
    assert evaluate(path, out, "--method", "unedited", "--guidance", "2") == 0 and len(drawn) == 2 * count + 30


def test_a_stopped_run_says_what_it_knows(tmp_path, monkeypatch, capsys):
    path, out, calls = write(tmp_path, "TIMED"), tmp_path / "out", []

    def stopped(*arguments, **settings):
        calls.append(arguments)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return draw_pictures(*arguments, **settings)

    monkeypatch.setattr(command, "draw_pictures", stopped)
    assert evaluate(path, out, "--method", "unedited") == 130
    assert str(out) in capsys.readouterr().err
    assert len(results(out)["unedited"]["values"][EFFICACY]) == 1


def test_a_clip_judges_a_users_model(folder, tmp_path):
    """With a pipeline of random weights, so that all that a user's machine adds is weights."""
    tiny_models.write_pipeline(tmp_path / "model")
    rows = [["a rose", "a blue rose", "a photo of a rose", "a tulip"]]
    path = write(tmp_path, "x", rows, ["source", "destination", "related1", "unrelated1"])
    own = ["--model", tmp_path / "model", "--judge", folder / "clip", "--method", "TIME", "--method", "unedited"]
    assert evaluate(path, tmp_path / "out", *own) == 0
    pictures = draw_pictures(tiny_models.new_pipeline(), ["a tulip"] * 2, [0, 1], 2, 7.5)
    chosen = ClipJudge(str(folder / "clip"))(pictures, ["a tulip", "a blue rose"])
    assert results(tmp_path / "out")["unedited"]["values"][SPECIFICITY] == [chosen.count(0) / 2]


@pytest.mark.parametrize("family", ["SDXL", "PixArt"])
def test_any_pipeline_that_is_edited_can_be_measured(family, tmp_path):
    made = tiny_families.FAMILIES[family]()
    rows = [["a rose", "a blue rose", "a photo of a rose", "a house"]]
    edits = read_edit_set(write(tmp_path, "x", rows, ["source", "destination", "related1", "unrelated1"]))
    known = paper_methods(edits, None)
    (row,) = TextAlone(made).score([known["TIME"]], groups_of(edits, [1]))
    assert row.values[EFFICACY][0] > 0.5
    tiny = {"height": 8, "width": 8, "clean_caption": False, "use_resolution_binning": False} if family == "PixArt" else {}
    tiny = tiny or {"height": 16, "width": 16}

    def draw(pipe, prompts, seeds):
        return pipe(prompt=list(prompts), num_inference_steps=1, output_type="latent", **tiny).images

    shot, texts = Shot("a rose", 1), ("a rose", "a blue rose")
    plain = draw(made, ["a rose"], [1])
    with known["UCE"].put_on(made, edits.edits):
        scored = run.ScoredPictures(made, judged(lambda pictures, _: [int(torch.equal(pictures, plain))]), draw)
        assert scored.look([(shot, texts)]) == {(shot, texts): 1.0}


def test_a_model_may_have_half_numbers(tmp_path):
    path = write(tmp_path, "own")
    assert evaluate(path, tmp_path / "out", "--dtype", "bfloat16", "--edits", 1, "--method", "TIME") == 0
    assert results(tmp_path / "out")["TIME"]["values"][EFFICACY][0] in (0, 0.5, 1)


def test_a_transformers_text_encoder_is_read_from_its_folder(tmp_path):
    tiny_families.pixart().save_pretrained(tmp_path / "model")
    path = write(tmp_path, "x", [["a rose", "a blue rose", "a house"]], ["source", "destination", "unrelated1"])
    more = ["--model", tmp_path / "model", "--text-only", "--method", "TIME", "--method", "unedited"]
    assert evaluate(path, tmp_path / "out", *more) == 0
    found = results(tmp_path / "out")
    assert found["TIME"]["means"][EFFICACY] > 0.5 and found["unedited"]["means"][EFFICACY] == 0
    assert (
        evaluate(path, tmp_path / "out", "--model", tmp_path / "model", "--text-only", "--method", EMCID, "--mode", "text") == 2
    )


def test_processes_share_the_edits_out(tmp_path):
    """Two of them write what one does, and the main one speaks."""
    path, out = write(tmp_path, "TIMED"), tmp_path / "out"
    more = ["--steps", "1", "--seeds", "1", "--method", "unedited", "--method", "TIME"]
    assert cli.main(["evaluate", "--data", str(path), "--out", str(out), *more]) == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launch = "--multi_gpu --num_machines 1 --mixed_precision no --dynamo_backend no --num_processes 2 --main_process_port"
    words = [sys.executable, "-m", "accelerate.commands.launch", *launch.split(), port, "-m", "edit_assumption.cli", "evaluate"]
    words += ["--data", str(path), "--out", str(tmp_path / "shared"), *more]
    folders = os.pathsep.join([str(Path(edit_assumption.__file__).parents[1]), *sys.path])
    environment = {**os.environ, "PYTHONPATH": folders, "OMP_NUM_THREADS": "1"}
    answer = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=400)
    assert answer.returncode == 0, answer.stderr[-3000:]
    assert results(tmp_path / "shared") == results(out) and answer.stdout.count("| TIME |") == 1
    assert {path.name for path in (tmp_path / "shared/parts").iterdir()} == {path.name for path in (out / "parts").iterdir()}


def test_edits_together_and_too_many(tmp_path, capsys):
    path = write(tmp_path, "TIMED")
    assert evaluate(path, tmp_path / "out", "--method", "TIME", "--together", 1, 2, "--text-only") == 0
    rows = json.loads((tmp_path / "out/results.json").read_text())["results"]
    assert [row["together"] for row in rows] == [1, 2] and rows[0]["values"] != rows[1]["values"]
    assert evaluate(path, tmp_path / "out", "--together", 3) == 2
    assert "There are 2 sources, so 3 edits cannot be solved together" in capsys.readouterr().err


def test_text_alone_is_its_formula(tmp_path, pipe):
    edits = read_edit_set(write(tmp_path, "TIMED"))
    known = paper_methods(edits, None)
    unedited, oracle, time = TextAlone(pipe).score(
        [known[name] for name in ("unedited", "oracle", "TIME")], groups_of(edits, [1])
    )
    for measure in (EFFICACY, GENERALITY, SPECIFICITY):
        assert unedited.values[measure] == pytest.approx([float(measure == SPECIFICITY)] * 2, abs=1e-6)
        assert oracle.values[measure] == pytest.approx([1.0] * 2)
    encode, edit = PipelineEncoder(pipe), edits.edits[0]
    context_map = time_as_published(Seen.of(pipe), [edit])

    def read(prompt):
        (encoded,) = encode([prompt])
        return encoded, encoded.embeddings, context_map.apply(encoded.embeddings)

    expected = {measure: [] for measure in edit.cases}
    source, plain, _ = read(edit.source)
    wanted = encode([edit.destination])[0]
    length = (wanted.embeddings[align(source, wanted)] - plain).norm()
    for measure, cases in edit.cases.items():
        for case in cases:
            encoded, plain, moved = read(case.prompt)
            if measure == SPECIFICITY:
                expected[measure].append(1 - (moved - plain).norm() / length)
            else:
                truth = encode([case.oracles[0]])[0]
                target = truth.embeddings[align(encoded, truth)]
                expected[measure].append(1 - (moved - target).norm() / (plain - target).norm())
    for measure, values in expected.items():
        assert time.values[measure][0] == pytest.approx(float(sum(values) / len(values)), abs=1e-4)


def test_text_alone_says_how_far_a_source_is_between_its_variants(tmp_path, pipe):
    edits = read_edit_set(write(tmp_path, "gender"))
    known = paper_methods(edits, None)
    unedited, oracle = TextAlone(pipe).score([known["unedited"], known["oracle"]], groups_of(edits, [1]))
    assert oracle.values[BIAS] == pytest.approx([0, 0], abs=1e-6) and unedited.values[BIAS][0] > 0.01
    with pytest.raises(EditError, match="differs from picture to picture"):
        known[CHANCE].encode(pipe, edits.edits, ["a wizard"])


def test_a_map_of_the_text_and_an_edited_text_encoder_are_read_alike(tmp_path, pipe):
    """EMCID from text alone, too, where it is named."""
    path = write(tmp_path, "own")
    more = ["--method", EMCID, "--method", "ours", "--text-only", "--mode", "text", "--cache", tmp_path / "cache"]
    assert evaluate(path, tmp_path / "out", *more) == 0
    for entry in results(tmp_path / "out").values():
        assert entry["means"][EFFICACY] > 0.3 and entry["means"][SPECIFICITY] > 0.3
    assert not (tmp_path / "out/thumbnails").exists() and "From text alone" in (tmp_path / "out/report.md").read_text()


def test_measures_are_those_of_the_papers():
    assert value(EFFICACY, [1, 0, 1, 1]) == 0.75
    assert [value(BIAS, chosen) for chosen in ([1, 1], [0, 0], [1, 0], [1, 1, 1, 0])] == [1, 1, 0, 0.5]  # |F - 50| / 50
    assert harmonic({EFFICACY: 0.5, GENERALITY: 1.0, SPECIFICITY: 0.25}) == pytest.approx(3 / (2 + 1 + 4))
    assert harmonic({EFFICACY: -0.5, GENERALITY: 1.0, SPECIFICITY: 0.25}) == 0 and harmonic({BIAS: 0.5}) is None


def test_each_picture_is_judged_by_its_own_texts():
    def judge(pictures, texts):
        return [int(picture.mean() > 0) if texts[0] == "dark" else None for picture in pictures]

    pictures = torch.tensor([-1.0, 1.0, -1.0]).view(3, 1, 1, 1).expand(3, 3, 2, 2)
    assert judged(judge)(pictures, [("dark", "light"), ("dark", "light"), ("x", "y")]) == [1.0, 0.0, 0.0]


def test_the_oracle_writes_the_variants_in_turn():
    case = Case("a wizard", "with", "without", ("with", "without"))
    assert shots_of(case, range(3), True) == [Shot("with", 0), Shot("without", 1), Shot("with", 2)]
    assert shots_of(replace(case, seeds=(9,)), range(3), False) == [Shot("a wizard", 9)]


def test_a_classifier_takes_the_likelier_of_the_classes_that_texts_name(folder):
    judge = judge_by_name(str(folder / "classifier"))
    assert isinstance(judge, ClassifierJudge) and judge.classes("A white shark by a rosebush") == {0, 3}
    assert judge.classes("a man-eater") == {3} and judge.classes("a shark") == {2}
    pictures = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    sure = judge.classifier.probabilities(pictures)
    assert torch.allclose(sure.sum(1), torch.ones(8)) and judge(pictures, ["a shark", "a tulip"]) == [
        int(row[1] > row[2]) for row in sure
    ]
    for texts in (["a house", "a tulip"], ["a rose", "a rosebush"]):
        with pytest.raises(EditError, match="no classes that tell"):
            judge(pictures, texts)


def test_a_vqa_model_is_asked_for_each_text(folder):
    judge = judge_by_name(str(folder / "vilt"))
    assert isinstance(judge, QuestionJudge) and judge.yes == 1
    pictures = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    texts, sure = ["a red rose", "a cat"], []
    for text in texts:
        asked = [f"Does the picture show {text}?"] * 8
        images = list(((pictures + 1) * 127.5).round().to(torch.uint8))
        given = judge.processor(images=images, text=asked, return_tensors="pt")
        with torch.no_grad():
            sure.append(judge.model(**given).logits[:, 1])
    assert judge(pictures, texts) == [int(second > first) for first, second in zip(*sure, strict=True)]
    shutil.copytree(folder / "vilt", folder / "mute")
    config = json.loads((folder / "mute/config.json").read_text())
    config |= {"id2label": {"0": "no", "1": "oui", "2": "two"}, "label2id": {"no": 0, "oui": 1, "two": 2}}
    (folder / "mute/config.json").write_text(json.dumps(config))
    with pytest.raises(EditError, match="no answer “yes”"):
        judge_by_name(str(folder / "mute"))


def test_other_judges_are_refused(folder, tmp_path):
    assert isinstance(judge_by_name(str(folder / "clip")), ClipJudge)
    with pytest.raises(EditError, match="cannot be loaded; give the folder of a CLIP model"):
        judge_by_name(str(tmp_path))
    tiny_models.new_pipeline().text_encoder.save_pretrained(tmp_path / "text")
    with pytest.raises(EditError, match="is no CLIP model, image classifier or ViLT model"):
        judge_by_name(str(tmp_path / "text"))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--ablation"], "--ablation is for the bundled suite"),
        (["--split", "test"], "--split is for the bundled suite"),
        (["--method", "nobody"], "no method “nobody” for this file; choose from unedited, oracle"),
        (["--method", CHANCE], "no method “by chance” for this file"),
        (["--text-only", "--keep-pictures"], "From text alone no picture is drawn"),
        (["--seeds", "0"], "Give 1 or more"),
        (["--judge", "/nowhere"], "cannot be loaded"),
        (["--model", "/nowhere", "--judge", "pocket"], "cannot be loaded"),
        (["--reference", "/nowhere"], "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(more, sentence, tmp_path, capsys):
    assert evaluate(write(tmp_path, "TIMED"), tmp_path / "out", *more) == 2
    said = capsys.readouterr().err
    assert sentence.replace("“", '"').replace("”", '"') in said.replace("“", '"').replace("”", '"')


def test_the_pocket_model_is_asked_for_what_it_draws(tmp_path, capsys):
    path = write(tmp_path, "x", [["a zeppelin", "a blue zeppelin"]], ["source", "destination"])
    assert evaluate(path, tmp_path / "out") == 2 and "zeppelin" in capsys.readouterr().err
    assert cli.main(["evaluate", "--text-only"]) == 2 and "give one with --data" in capsys.readouterr().err


def own_folder(folder, count=3):
    folder.mkdir()
    for number in range(count):
        Image.new("RGB", (48, 48), (80 * number, 40, 200)).save(folder / f"{number}.png")
    texts = ["a rose", "a cat", "a house"]
    rows = [f"{number}.png,{texts[number]}" for number in range(count)]
    (folder / "metadata.csv").write_text("\n".join(["file_name,text", *rows]))
    return folder


class Mean(torch.nn.Module):
    """Two features of a picture."""

    num_features = 2

    def forward(self, pictures):
        return pictures.double().flatten(2).mean(2)[:, :2]


def test_fid_and_clip_score_are_those_of_the_drawn_pictures(folder, tmp_path, pipe):
    fid = pytest.importorskip("torchmetrics.image.fid", reason="torchmetrics is not installed")
    pictures = own_pictures(own_folder(tmp_path / "own"))
    make = Metrics(lambda: fid.FrechetInceptionDistance(Mean()), lambda: clip_score(str(folder / "clip")), lambda: Changed())
    drawn = []

    def draw(pipe, prompts, seeds):
        drawn.append(draw_pictures(pipe, prompts, seeds, 2, 3.0))
        return drawn[-1]

    quality = Quality(pictures, make, draw, at_once=2)
    before = quality.look_before(pipe)
    as_bytes = ((torch.cat(drawn) + 1) * 127.5).round().to(torch.uint8)
    real = torch.stack([torch.tensor([80.0 * n, 40.0], dtype=torch.double) for n in range(3)])
    assert before[FID] == pytest.approx(frechet(real, Mean()(as_bytes)), rel=1e-3) and LPIPS not in before
    judge = ClipJudge(str(folder / "clip"))
    texts = [picture.text for picture in pictures]
    given = judge.processor(text=texts, images=list(as_bytes), return_tensors="pt", padding=True)
    with torch.no_grad():
        answer = judge.model(**given)
    alike = torch.nn.functional.cosine_similarity(answer.image_embeds, answer.text_embeds).mean()
    assert before[CLIP_SCORE] == pytest.approx(max(0.0, 100 * float(alike)), abs=0.1)
    same = quality.look(pipe)
    assert same[LPIPS] < 0.01 and {name: same[name] for name in before} == pytest.approx(before)


class Changed:
    """In LPIPS's place, whose network has to be downloaded: how far pixels are apart."""

    device = "cpu"

    def __init__(self):
        self.apart = []

    def update(self, after, before):
        self.apart.append((after - before).abs().mean())

    def compute(self):
        return torch.stack(self.apart).mean()


def frechet(one, other):
    """||m1 - m2||^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))."""
    first, second = one.T.cov(), other.T.cov()
    root = torch.linalg.eigvals(first @ second).sqrt().real.sum()
    return float((one.mean(0) - other.mean(0)).square().sum() + first.trace() + second.trace() - 2 * root)


def test_quality_stands_in_the_table(tmp_path):
    """Through the command, with measures made here in place of those that need weights."""
    reference = own_folder(tmp_path / "own")
    options = cli._parser().parse_args(
        ["evaluate", "--data", str(write(tmp_path, "own")), "--reference", str(reference), "--out", str(tmp_path / "out"),
         "--steps", "1", "--seeds", "1", "--method", "unedited", "--method", "oracle", "--method", "TIME"]
    )  # fmt: skip
    table = command.run_papers(options, metrics=lambda clip, device: Metrics(None, None, Changed))
    assert command.run_papers(options, metrics=lambda clip, device: Metrics(None, None, None)) == table  # what is known stays
    unedited, oracle, time = table.splitlines()[2:]
    assert unedited.endswith("| – |") and oracle.endswith("| – |") and float(time.split("|")[-2]) > 0


def test_lpips_compares_kept_pictures(tmp_path, capsys):
    asked = ["--method", "unedited", "--method", "TIME"]
    path, out = write(tmp_path, "artists"), tmp_path / "out"
    words = ["evaluate", "--data", str(path), "--out", str(out), "--steps", "1", "--destination", "tree", "--lpips", *asked]
    table = command.run_papers(cli._parser().parse_args(words), metrics=lambda clip, device: Metrics(None, None, Changed))
    assert "| LPIPS, efficacy | LPIPS, specificity |" in table.splitlines()[0]
    expected = {}
    for measure in (EFFICACY, SPECIFICITY):
        apart = []
        for case in (case for edit in read_edit_set(path, "tree").edits for case in edit.cases[measure]):
            name = f"{file_name(Shot(case.prompt, case.seeds[0]))}.png"
            after, before = (np.asarray(Image.open(out / "pictures" / place / name), float) for place in ("time/2-0", UNEDITED))
            apart.append(np.abs(after - before).mean() / 127.5)
        expected[f"LPIPS, {measure}"] = sum(apart) / len(apart)
    assert results(out)["TIME"]["quality"] == pytest.approx(expected, rel=1e-4) and not results(out)["unedited"]["quality"]
    assert evaluate(path, out, "--lpips", "--method", "TIME", "--destination", "tree") == 2
    said = capsys.readouterr().err
    assert "pip install edit-assumption[evaluate]" in said or "add --method unedited" in said


def test_own_pictures_are_checked(tmp_path):
    folder = own_folder(tmp_path / "own")
    for text, sentence in (
        ("file_name,text\n0.png,a rose", "FID needs two or more"),
        ("file_name,text\n0.png,a rose\n9.png,a cat", "no picture .*9.png"),
        ("file_name,caption\n0.png,a rose", "no column “text”"),
    ):
        (folder / "metadata.csv").write_text(text)
        with pytest.raises(EditError, match=sentence):
            own_pictures(folder)


def test_settings_of_emcid_come_from_the_options(tmp_path):
    options = cli._parser().parse_args(["evaluate", "--data", "x", "--mode", "text", "--regularization", "0.3"])
    settings = MethodSettings(settings_of(options))
    assert settings.concepts.mode == "text" and settings.concepts.regularization == 0.3
