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
