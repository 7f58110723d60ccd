"""Training that was stopped and taken up again is training that was not stopped."""

import json

import pytest
import torch

training = pytest.importorskip("edit_assumption.pocket.training", reason="tqdm is not installed")


def trained(folder, steps, stop=None):
    torch.manual_seed(0)
    layer = torch.nn.Linear(4, 1)
    run = training.Run(folder, "line", {"layer": layer}, steps, rate=0.1)

    def loss_of(step):
        if step == stop:
            raise KeyboardInterrupt
        return (layer(torch.randn(8, 4)) - 1).square().mean(), {"step number": step}

    run.train(loss_of)
    return run


def test_a_run_can_be_taken_up_again(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SAVE_EVERY", 3)
    whole = trained(tmp_path / "whole", 8)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "parted", 8, stop=5)
    parted = trained(tmp_path / "parted", 8)
    assert parted.begun == 3
    for name in ("modules", "averaged"):
        one, two = getattr(whole, name)["layer"].state_dict(), getattr(parted, name)["layer"].state_dict()
        assert all(torch.equal(one[key], two[key]) for key in one)
    lines = [json.loads(line) for line in (tmp_path / "parted/line.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [8]


def test_training_lowers_the_loss_and_averages_the_weights(tmp_path):
    run = trained(tmp_path, 150)
    assert run.modules["layer"].bias.item() == pytest.approx(1, abs=0.05)
    assert run.averaged["layer"].bias.item() == pytest.approx(1, abs=0.1)
    assert not torch.equal(run.averaged["layer"].weight, run.modules["layer"].weight)


def test_the_curve_takes_steps_that_were_done_again_once(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    from edit_assumption.pocket.curve import curves, read_log

    lines = [{"step": 50, "loss": 3.0}, {"step": 100, "loss": 2.0}, {"step": 100, "loss": 1.0}]
    (tmp_path / "work").mkdir()
    (tmp_path / "work/unet.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    training.keep_logs(tmp_path / "work", tmp_path / "weights")
    kept = tmp_path / "weights" / training.LOGS
    assert read_log(kept / "unet.jsonl") == {50: 3.0, 100: 1.0}
    (axes,) = curves(kept).axes
    assert axes.get_title() == "UNet" and list(axes.lines[0].get_ydata()) == [3.0, 1.0]


def test_a_folder_without_logs_is_named(tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    from edit_assumption.pocket.curve import main

    assert main(["--logs", str(tmp_path), "--out", str(tmp_path / "curve.png")]) == 2
    assert "has no logs of a training; name the folder with --logs." in capsys.readouterr().err


def test_what_is_said_and_shown_decides_how_often_a_sample_is_practised():
    stages = pytest.importorskip("edit_assumption.pocket.stages", reason="diffusers is not installed")
    from edit_assumption.pocket.captions import Sample
    from edit_assumption.pocket.scenes import Scene

    values = {"colour": "blue", "pattern": "dotted"}
    car, silent = Sample(Scene("car", values), values, False), Sample(Scene("car", values), {}, False)
    assert stages.practice(silent) == 1 < stages.practice(car)
    cat = Sample(Scene("cat", values), values, False)
    assert stages.practice(cat) > max(stages.practice(car), stages.practice(Sample(Scene("cat", values), {}, False)))


def test_the_command_goes_through_all_stages(tmp_path, monkeypatch):
    """A few steps of each, on a few pictures: it ends with a pipeline that draws and a judge that answers."""
    stages = pytest.importorskip("edit_assumption.pocket.stages", reason="diffusers is not installed")
    from edit_assumption.pipelines.generate import generate
    from edit_assumption.pocket import name_stage, train
    from edit_assumption.pocket.judge import load_judge
    from edit_assumption.pocket.model import pipeline

    for name, count in (("_BASIS_PICTURES", 60), ("_REDRAWN", 20), ("_JUDGED", 100), ("_PRACTICE_FROM", 1)):
        monkeypatch.setattr(stages, name, count)
    monkeypatch.setattr(name_stage, "_HUSHED", 50)
    monkeypatch.setenv("MALLOC_MMAP_MAX_", "0")  # the process is not to be started again
    counts = "vae-steps 2 vae-batch 2 text-steps 2 text-batch 4 pictures 40 steps 2 batch 4 decoder-steps 1 decoder-batch 2"
    words = f"{counts} judge-steps 2 judge-batch 4 names-steps 2 names-batch 4 device cpu".split()
    given = [f"--{word}" if number % 2 == 0 else word for number, word in enumerate(words)]
    arguments = ["train", "--folder", str(tmp_path / "work"), "--out", str(tmp_path / "weights"), *given]
    monkeypatch.setattr("sys.argv", arguments)
    train.main()
    pictures = generate(pipeline(tmp_path / "weights"), ["a rose"], [1], steps=2)
    (answer,) = load_judge(tmp_path / "weights").answers(pictures)
    assert pictures.shape == (1, 3, 48, 48) and answer["thing"]
    assert {log.stem for log in (tmp_path / "weights/training").iterdir()} == set(train.STAGES)
