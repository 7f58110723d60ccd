"""Second moments on disk: given back to the same encoder and texts, to no other; what was stopped goes on."""

import os

import pytest
import torch
from edit_assumption.editing.assumptions import moment_file
from edit_assumption.editing.assumptions.moment_file import keep_sums, kept_moment, load_sums
from edit_assumption.editing.assumptions.moments import MomentSums, Total, read_known
from edit_assumption.editing.encoder_identity import EncoderIdentity
from edit_assumption.editing.encoding import Chunk, EncodedPrompt
from edit_assumption.editing.known_texts import KnownTexts

TEXTS = KnownTexts(("a cat", "a dog"), ("rose", "tulip"))


def identity(seed=0, width=8):
    return EncoderIdentity(TEXTS.captions[0], torch.randn(4, width, generator=torch.Generator().manual_seed(seed)))


def sums(seed=0, width=8, read=4):
    rows = torch.randn(2, 20, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return MomentSums(*(Total(part.T @ part, 20) for part in rows), read=read)


def test_it_comes_back(tmp_path):
    folder = tmp_path / "deep/moments"
    assert load_sums(folder, TEXTS, identity()) is None
    keep_sums(folder, TEXTS, identity(), sums())
    found = load_sums(folder, TEXTS, identity())
    assert found.read == 4 and found.moment().dtype == torch.float64
    assert torch.allclose(found.moment(), sums().moment(), rtol=1e-6)
    # The same encoder on another device rounds in another way.
    nearly = EncoderIdentity(TEXTS.captions[0], identity().embeddings * (1 + 1e-5))
    assert torch.equal(load_sums(folder, TEXTS, nearly).moment(), found.moment())


def moved(by):
    """The encoder under a LoRA: every token moves by so much of its length."""
    other = identity(5).embeddings
    return EncoderIdentity(TEXTS.captions[0], identity().embeddings + by * other)


def test_a_close_relatives_serves_but_no_part_of_it(tmp_path):
    near, far = moved(0.008), moved(0.05)
    assert identity().apart(near.embeddings) < 0.02 < identity().apart(far.embeddings)
    keep_sums(tmp_path / "part", TEXTS, identity(), sums(read=2))
    assert load_sums(tmp_path / "part", TEXTS, near) is None and load_sums(tmp_path / "part", TEXTS, identity()).read == 2
    keep_sums(tmp_path, TEXTS, identity(), sums())
    assert torch.allclose(load_sums(tmp_path, TEXTS, near).moment(), sums().moment(), rtol=1e-6)
    assert load_sums(tmp_path, TEXTS, far) is None
    keep_sums(tmp_path, TEXTS, near, sums(1))  # the nearest comes first
    assert torch.allclose(load_sums(tmp_path, TEXTS, near).moment(), sums(1).moment(), rtol=1e-6)
    assert torch.allclose(load_sums(tmp_path, TEXTS, identity()).moment(), sums().moment(), rtol=1e-6)


@pytest.mark.parametrize("other", [identity(1), identity(0, 16)], ids=["another encoder", "another width"])
def test_a_foreign_one_is_never_used(tmp_path, other):
    keep_sums(tmp_path, TEXTS, identity(), sums())
    assert load_sums(tmp_path, TEXTS, other) is None
    assert load_sums(tmp_path, KnownTexts(("a cat", "a horse"), TEXTS.words), identity()) is None
    assert load_sums(tmp_path, KnownTexts(TEXTS.captions, ("rose",)), identity()) is None


def test_a_damaged_one_is_as_good_as_none(tmp_path):
    keep_sums(tmp_path, TEXTS, identity(), sums())
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for damaged in (b"", b"no safetensors", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        assert load_sums(tmp_path, TEXTS, identity()) is None
    broken = sums()
    broken.words.square.fill_(torch.nan)
    keep_sums(tmp_path, TEXTS, identity(), broken)
    assert load_sums(tmp_path, TEXTS, identity()) is None


def test_those_used_longest_ago_give_way(tmp_path, monkeypatch):
    monkeypatch.setattr(moment_file, "_KEPT", 2)
    for seed in range(3):
        keep_sums(tmp_path, TEXTS, identity(seed), sums(seed))
        for path in tmp_path.iterdir():  # as if an hour had passed
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 3600))
    assert load_sums(tmp_path, TEXTS, identity(0)) is None
    assert all(load_sums(tmp_path, TEXTS, identity(seed)) is not None for seed in (1, 2))


@pytest.mark.parametrize("older", ["edit_assumption_moment", "edit_assumption_moment_2"])
def test_one_of_captions_alone_is_made_again(tmp_path, monkeypatch, older):
    monkeypatch.setattr(moment_file, "FORMAT", older)
    keep_sums(tmp_path, TEXTS, identity(), sums())
    monkeypatch.undo()
    assert load_sums(tmp_path, TEXTS, identity()) is None


class Reader:
    """A text encoder that remembers what it read; ``short`` when it reads it in short windows."""

    def __init__(self, stops_at=None):
        self.read, self.stops_at = [], stops_at

    def __call__(self, prompts):
        self.read += prompts
        return [self.encoded(prompt) for prompt in prompts]

    def encoded(self, prompt):
        rows = torch.randn(12, 8, generator=torch.Generator().manual_seed(sum(map(ord, prompt))))
        words = len(prompt.split())
        return EncodedPrompt((prompt,) * 12, (Chunk(0, range(1, 1 + words), 12),), rows)

    def advance(self, done, of):
        if done == self.stops_at:
            raise KeyboardInterrupt


def test_reading_that_was_stopped_goes_on_from_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(moment_file, "WORDS_IN_WHOLE_WINDOWS", 2)
    first, second = Reader(stops_at=2), Reader()
    with pytest.raises(KeyboardInterrupt):
        kept_moment(tmp_path, TEXTS, first, advance=first.advance)
    assert first.read[-2:] == ["a cat", "a dog"] and "a rose" not in first.read
    found = kept_moment(tmp_path, TEXTS, second, advance=second.advance)
    assert second.read == ["a cat", "a rose", "a tulip"]  # the first to know the encoder by
    torch.testing.assert_close(found.whole(), read_known(Reader(), TEXTS).whole(), rtol=1e-5, atol=1e-5)
    third = Reader()
    torch.testing.assert_close(kept_moment(tmp_path, TEXTS, third).whole(), found.whole(), rtol=1e-5, atol=1e-5)
    assert third.read == ["a cat"] and len(list(tmp_path.iterdir())) == 1


def test_fewer_words_are_read_where_windows_are_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(moment_file, "WORDS_IN_WHOLE_WINDOWS", 1)
    whole, short = Reader(), Reader()
    kept_moment(tmp_path, TEXTS, whole)
    assert whole.read[-1] == "a rose"
    kept_moment(tmp_path / "short", TEXTS, whole, lambda: short)
    assert short.read == ["a cat", "a cat", "a dog", "a rose", "a tulip"]  # the first to compare with whole windows
    again = Reader()
    kept_moment(tmp_path / "short", TEXTS, again, lambda: pytest.fail("the windows were made again"))
    assert again.read == ["a cat"]


def test_what_was_read_in_short_windows_goes_on_in_such_alone(tmp_path):
    def stopped(folder, short):
        with pytest.raises(KeyboardInterrupt):
            kept_moment(folder, TEXTS, Reader(), lambda: short, Reader(stops_at=2).advance)

    for folder, first, second, read in (
        ("short", Reader(), Reader(), ["a cat", "a rose", "a tulip"]),  # the first to compare with whole windows
        ("whole", None, Reader(), ["a cat", "a cat", "a dog", "a rose", "a tulip"]),
    ):
        stopped(tmp_path / folder, first)
        found = kept_moment(tmp_path / folder, TEXTS, Reader(), lambda short=second: short)
        assert second.read == read and found.sums.short
        kept = kept_moment(tmp_path / folder, TEXTS, Reader(), lambda: pytest.fail("the windows were made again"))
        torch.testing.assert_close(kept.whole(), found.whole(), rtol=1e-5, atol=1e-5)
    stopped(tmp_path / "mixed", Reader())
    whole = Reader()
    assert not kept_moment(tmp_path / "mixed", TEXTS, whole).sums.short
    assert whole.read == ["a cat", *TEXTS.captions, "a rose", "a tulip"]


def test_what_comes_from_the_disk_knows_its_texts(tmp_path):
    found, again = (kept_moment(tmp_path, TEXTS, Reader()) for _ in range(2))
    torch.testing.assert_close(again.beside(["rose"], Reader()), found.beside(["rose"], Reader()), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found.beside(["rose"], Reader()), found.whole(), rtol=1e-2)


def test_nothing_is_kept_of_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        kept_moment(tmp_path, TEXTS, Reader(), advance=Reader(stops_at=0).advance)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_removed_stays(tmp_path, monkeypatch):
    def refuse(path, missing_ok):
        raise PermissionError(path)

    monkeypatch.setattr(moment_file, "_KEPT", 1)
    monkeypatch.setattr(type(tmp_path), "unlink", refuse)
    for seed in range(2):
        keep_sums(tmp_path, TEXTS, identity(seed), sums(seed))
    assert len(list(tmp_path.iterdir())) == 2


def test_files_of_other_texts_are_not_read_and_the_newest_comes_first(tmp_path, monkeypatch):
    others = KnownTexts(("a bird",), TEXTS.words)
    keep_sums(tmp_path, others, identity(), sums())
    for by in (0.01, 0.0):
        keep_sums(tmp_path, TEXTS, moved(by), sums())
        for path in tmp_path.iterdir():  # as if an hour had passed
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 3600))
    opened, read_kept = [], moment_file.read_kept
    monkeypatch.setattr(moment_file, "read_kept", lambda path, read: opened.append(path) or read_kept(path, read))
    assert load_sums(tmp_path, TEXTS, identity()) is not None and len(opened) == 1
