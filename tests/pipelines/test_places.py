"""Commands look before the work whether they can write, and lose nothing where they cannot in the end."""

import json
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("diffusers", reason="diffusers is not installed")
pytest.importorskip("matplotlib", reason="matplotlib is not installed")

from barriers import POSIX, full_disk, without_rights
from edit_assumption.cli import main
from edit_assumption.editing import whole_file
from edit_assumption.editing.errors import EditError
from edit_assumption.evaluation import joint_report, pocket_accuracy, pocket_concepts, pocket_edits, suite_report, suite_run
from edit_assumption.evaluation.measures import ALL_MEASURES, Scores
from edit_assumption.evaluation.results_folder import results_folder
from edit_assumption.pipelines import concepts_command, demo
from edit_assumption.pocket import curve, train, training


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """In a folder of the test's own, as are the temporary files; with a file where a folder might be."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(whole_file.tempfile, "tempdir", str(tmp_path / "temporary"))
    Path("file").write_text("")
    Path("folder.png").mkdir()
    Path("folder.safetensors").mkdir()
    Path("results/results.json").mkdir(parents=True)


def no_work(*_, **__):
    raise AssertionError("the work has begun")


CONCEPTS = ["concepts", "--lines", "rose -> tulip", "--cache", "cache"]
ICEB = ["iceb", "--csv", "none.csv", "--classifier", "none", "--model", "none"]
NEEDED = "a file stands where a folder is needed"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["demo", "--out", "file/a.png"], NEEDED),
        (["demo", "--out", "folder.png"], "it is a folder"),
        (["demo", "--out", "a.doc"], "give a name that ends in .png"),
        (["demo", "--out", "a"], "give a name that ends in .png"),
        (["demo", "--out", "/proc/none/a.png"], "cannot be written"),
        ([*CONCEPTS, "--out", "file/a.safetensors"], NEEDED),
        ([*CONCEPTS, "--out", "folder.safetensors"], "it is a folder"),
        ([*CONCEPTS, "--out", "a.png"], "give a name that ends in .safetensors"),
        ([*CONCEPTS, "--lora", "file/a.safetensors"], NEEDED),
        ([*CONCEPTS, "--lora", "./edit.safetensors"], "give them different names"),
        (["evaluate", "--out", "file"], NEEDED),
        (["evaluate", "--out", "results"], "it is a folder"),
        ([*ICEB, "--out", "file/deep"], NEEDED),
        ([*ICEB, "--out", "results"], "it is a folder"),
    ],
)
def test_commands_look_first(arguments, sentence, monkeypatch, capsys):
    monkeypatch.setattr(demo, "pipeline", no_work)
    monkeypatch.setattr(concepts_command, "load_pipeline", no_work)
    monkeypatch.setattr(suite_run, "ProcessPoolExecutor", no_work)
    before = sorted(Path().rglob("*"))
    assert main(arguments) == 2
    assert sentence in capsys.readouterr().err and sorted(Path().rglob("*")) == before


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        (pocket_edits, ["--json", "file/a.json"]),
        (pocket_accuracy, ["--json", "file/a.json"]),
        (pocket_concepts, ["--out", "file"]),
        (train, ["--folder", "file/deep"]),
        (train, ["--out", "file"]),
        (curve, ["--out", "file/a.png"]),
    ],
)
def test_modules_look_first(module, arguments, monkeypatch, capsys):
    monkeypatch.setattr(train, "fast_allocator", lambda: None)
    for name in ("pipeline", "load_judge", "PocketModel", "curves"):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, no_work)
    monkeypatch.setattr(sys, "argv", ["module", *arguments])
    assert module.main() == 2 and NEEDED in capsys.readouterr().err


def elsewhere(sentence):
    return Path(sentence.split("is in “")[-1].split("” instead")[0])


@POSIX
def test_a_demo_on_a_full_disk_keeps_its_picture(monkeypatch, capsys):
    monkeypatch.setattr(demo, "generate", lambda pipe, prompts, *_, **__: torch.zeros(len(prompts), 3, 48, 48))
    assert main(["demo", "--out", str(full_disk(Path("a.png")))]) == 2
    said = capsys.readouterr().err
    assert "words moved by" in said and "“a.png” cannot be written: the disk is full." in said
    assert elsewhere(said).read_bytes().startswith(b"\x89PNG")


def scores():
    found = Scores("ours", 1)
    found.add({measure: [1.0, 0.5] for measure in ALL_MEASURES})
    return [found]


def test_a_results_folder_that_goes_away_stops_no_measurement(caplog):
    def put_all(folder, put):
        for number in range(3):
            if number == 1:
                for path in folder.iterdir():
                    path.unlink()
                folder.rmdir()
                folder.write_text("")
            put(lambda place, number=number: suite_report.write(scores(), place, {"number": number}), f"table {number}")

    with pytest.raises(EditError) as caught, results_folder(Path("out"), suite_report.FILES) as put:
        put_all(Path("out"), put)
    assert len(caplog.records) == 1 and "the measurement goes on" in caplog.records[0].getMessage()
    sentence = str(caught.value)
    assert sentence.startswith("table 2\n“out” cannot be written") and "What was measured is in" in sentence
    assert json.loads((elsewhere(sentence) / "results.json").read_text())["number"] == 2
    # A stop in between loses nothing either.
    Path("out").unlink()
    with pytest.raises(EditError, match="table 2"), results_folder(Path("out"), suite_report.FILES) as put:
        put_all(Path("out"), put)
        raise KeyboardInterrupt


def test_a_results_folder_that_comes_back_has_all():
    with results_folder(Path("out"), suite_report.FILES) as put:
        Path("out").write_text("")
        put(lambda place: suite_report.write(scores(), place, {"number": 1}), "")
        Path("out").unlink()
        put(lambda place: suite_report.write(scores(), place, {"number": 2}), "")
    assert json.loads(Path("out/results.json").read_text())["number"] == 2
    assert {path.name for path in Path("out").iterdir()} == {"results.json", "table.md", "methods.png"}
    assert not list(Path("temporary").iterdir())


@POSIX
def test_earlier_results_that_may_not_be_read_are_not_measured_again(tmp_path):
    Path("out").mkdir()
    Path("out/results.json").write_text("{}")
    with without_rights(tmp_path / "out"), pytest.raises(EditError, match="cannot be read: permission denied"):
        joint_report.read_joint(tmp_path / "out", {})


@POSIX
def test_training_goes_on_without_a_checkpoint(tmp_path, caplog):
    full_disk(tmp_path / "line.pt")
    layer = torch.nn.Linear(4, 1)
    layer_run = object.__new__(training.Run)
    layer_run.checkpoint, layer_run.modules, layer_run.averaged, layer_run.step = tmp_path / "line.pt", {"a": layer}, {}, 3
    layer_run.optimizer = torch.optim.AdamW(layer.parameters())
    layer_run._save()
    assert "the training goes on" in caplog.records[0].getMessage()
