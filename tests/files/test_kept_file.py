"""What can be computed again is computed where it cannot be kept, with a warning and with the same result."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
import torch
from barriers import POSIX, full_disk, without_rights
from concept_towers import new_model, tokenize, tower_of
from edit_assumption.editing.assumptions.moment_file import keep_sums, kept_moment, load_sums
from edit_assumption.editing.assumptions.moments import MomentSums, Total
from edit_assumption.editing.concepts.concept_lines import TEMPLATES, Concept
from edit_assumption.editing.concepts.sentences import sentences_of
from edit_assumption.editing.concepts.statistics import caption_statistics
from edit_assumption.editing.concepts.value_file import Value, ValueStore
from edit_assumption.editing.concepts.values import ValueSettings, find_values
from edit_assumption.editing.encoder_identity import EncoderIdentity
from edit_assumption.editing.encoding import Chunk, EncodedPrompt
from edit_assumption.editing.kept_file import keep, read_kept
from edit_assumption.editing.known_texts import KnownTexts
from edit_assumption.editing.tensor_file import open_tensors

WIDTH = 32
CAPTIONS = [f"a {look} {thing}" for look in ("red", "blue", "green") for thing in ("rose", "cat", "dog", "house")]
IDENTITY = EncoderIdentity(CAPTIONS[0], torch.ones(2, 8))


@pytest.fixture(scope="module")
def tower():
    return tower_of(new_model(WIDTH))


def encode(prompts):
    return [EncodedPrompt(("a", "b"), (Chunk(0, range(2), 2),), IDENTITY.embeddings) for _ in prompts]


def warned(caplog, *words):
    texts = [record.getMessage() for record in caplog.records]
    return len(texts) == 1 and all(word in texts[0] for word in words)


def test_moments(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    for _ in range(2):  # warned of once
        assert kept_moment(tmp_path / "file", KnownTexts(CAPTIONS), encode).whole().trace() == 8
    assert warned(caplog, "cannot be written", str(tmp_path / "file"), "a file stands where a folder is needed")


def test_statistics(tower, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    kept = caption_statistics(tower, tokenize, CAPTIONS, [2], tmp_path / "folder")
    found = caption_statistics(tower, tokenize, CAPTIONS, [2], tmp_path / "file")
    assert torch.equal(found.sums[2], kept.sums[2]) and warned(caplog, "cannot be")


def test_what_is_damaged_is_made_again(tower, tmp_path):
    """Statistics of another shape, and values that are not finite, under the names and formats of sound ones."""
    found = caption_statistics(tower, tokenize, CAPTIONS, [2], tmp_path)
    (path,) = tmp_path.iterdir()
    with open_tensors(path) as file:
        header = file.metadata()
    keep({"2": torch.eye(3).double()}, path, header)
    assert torch.equal(caption_statistics(tower, tokenize, CAPTIONS, [2], tmp_path).sums[2], found.sums[2])
    store = ValueStore(tmp_path, ["sound", "damaged"])
    store.put(0, Value(torch.ones(2), 1.0, 0.5, 3)), store.put(1, Value(torch.full((2,), torch.inf), 1.0, 0.5, 3))
    assert set(ValueStore(tmp_path, ["sound", "damaged"]).known) == {0}


def test_values_of_a_folder_that_goes_away(tower, tmp_path, caplog):
    concepts = [Concept("rose", "cat"), Concept("dog", "house"), Concept("cat", "")]
    sentences, folder = sentences_of(concepts, tokenize, TEMPLATES[:2]), tmp_path / "values"
    settings = ValueSettings(steps=3, at_once=1)
    whole = find_values(tower, sentences, 3, settings)
    store = ValueStore(folder, ["rose", "dog", "cat"])

    def advance(done):
        if done == 1 and folder.is_dir():
            shutil.rmtree(folder)
            folder.write_text("")

    found = find_values(tower, sentences, 3, settings, advance=advance, store=store)
    assert torch.equal(found.shifts, whole.shifts) and warned(caplog, "cannot be written to", str(folder))


@POSIX
def test_a_full_disk(tmp_path, caplog):
    keep({"a": torch.ones(9)}, full_disk(tmp_path / "full.safetensors"), {})
    assert warned(caplog, "the disk is full", str(tmp_path))


@POSIX
def test_a_file_that_may_not_be_read(tmp_path, caplog):
    path = tmp_path / "a.safetensors"
    keep({"a": torch.ones(9)}, path, {})
    with without_rights(path):
        assert read_kept(path, lambda file: file.get_tensor("a")) is None
    assert warned(caplog, "cannot be read from", "permission denied", str(tmp_path))
    assert read_kept(tmp_path / "none.safetensors", lambda file: file.get_tensor("a")) is None
    assert read_kept(path, lambda file: file.get_tensor("b")) is None and len(caplog.records) == 1


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be somebody else")
def test_somebody_elses_moments_are_read(caplog):
    folder = Path(tempfile.mkdtemp())
    try:
        keep_sums(folder, KnownTexts(CAPTIONS), IDENTITY, MomentSums(Total(torch.eye(8), 1), read=len(CAPTIONS)))
        folder.chmod(0o755)
        with without_rights(folder):
            assert load_sums(folder, KnownTexts(CAPTIONS), IDENTITY) is not None
    finally:
        shutil.rmtree(folder)
