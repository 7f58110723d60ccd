"""Second moments on disk: given back to the same encoder and captions, to no other."""

import os

import pytest
import torch
from edit_assumption.editing import moment_file
from edit_assumption.editing.edit import EncoderIdentity
from edit_assumption.editing.moment_file import keep_moment, load_moment

CAPTIONS = ("a cat", "a dog")


def identity(seed=0, width=8):
    return EncoderIdentity(CAPTIONS[0], torch.randn(4, width, generator=torch.Generator().manual_seed(seed)))


def moment(seed=0, width=8):
    rows = torch.randn(20, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return rows.T @ rows


def test_it_comes_back(tmp_path):
    folder = tmp_path / "deep/moments"
    assert load_moment(folder, CAPTIONS, identity()) is None
    keep_moment(folder, CAPTIONS, identity(), moment())
    found = load_moment(folder, CAPTIONS, identity())
    assert found.dtype == torch.float64 and torch.allclose(found, moment(), rtol=1e-6)
    # The same encoder on another device rounds in another way.
    nearly = EncoderIdentity(CAPTIONS[0], identity().embeddings * (1 + 1e-5))
    assert torch.equal(load_moment(folder, CAPTIONS, nearly), found)


@pytest.mark.parametrize("other", [identity(1), identity(0, 16)], ids=["another encoder", "another width"])
def test_a_foreign_one_is_never_used(tmp_path, other):
    keep_moment(tmp_path, CAPTIONS, identity(), moment())
    assert load_moment(tmp_path, CAPTIONS, other) is None
    assert load_moment(tmp_path, ("a cat", "a horse"), identity()) is None


def test_a_damaged_one_is_as_good_as_none(tmp_path):
    keep_moment(tmp_path, CAPTIONS, identity(), moment())
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for damaged in (b"", b"no safetensors", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        assert load_moment(tmp_path, CAPTIONS, identity()) is None
    keep_moment(tmp_path, CAPTIONS, identity(), moment().fill_(torch.nan))
    assert load_moment(tmp_path, CAPTIONS, identity()) is None


def test_those_used_longest_ago_give_way(tmp_path, monkeypatch):
    monkeypatch.setattr(moment_file, "_KEPT", 2)
    for seed in range(3):
        keep_moment(tmp_path, CAPTIONS, identity(seed), moment(seed))
        for path in tmp_path.iterdir():  # as if an hour had passed
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 3600))
    assert load_moment(tmp_path, CAPTIONS, identity(0)) is None
    assert all(load_moment(tmp_path, CAPTIONS, identity(seed)) is not None for seed in (1, 2))


def test_one_of_the_first_release_is_made_again(tmp_path, monkeypatch):
    """It was kept with the start token in it, and shrunk."""
    monkeypatch.setattr(moment_file, "FORMAT", "edit_assumption_moment")
    keep_moment(tmp_path, CAPTIONS, identity(), moment())
    monkeypatch.undo()
    assert load_moment(tmp_path, CAPTIONS, identity()) is None
