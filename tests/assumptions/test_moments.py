"""The second moment over captions and vocabulary, in short windows and in whole ones."""

from dataclasses import replace

import pytest
import torch
from edit_assumption.editing.assumptions.moments import MomentSums, read_known, second_moment, short_windows, shrunk
from edit_assumption.editing.encoding import SHORT_PADDING, Chunk, EncodedPrompt, short_prompt
from edit_assumption.editing.errors import EditError
from edit_assumption.editing.known_texts import KnownTexts

LENGTH = 20
TEXTS = KnownTexts(("a cat", "a dog in the snow", "two birds"), ("rose", "harpsichord"))


def whole(prompts):
    """An encoder whose padding says the same from its sixth row on."""
    encoded = []
    for prompt in prompts:
        words = prompt.split()
        rows = torch.randn(LENGTH, 6, generator=torch.Generator().manual_seed(sum(map(ord, prompt))))
        end = 1 + len(words)
        rows[end + SHORT_PADDING :] = rows[end + SHORT_PADDING]
        tokens = ("<start>", *words, *["<end>"] * (LENGTH - end))
        encoded.append(EncodedPrompt(tokens, (Chunk(0, range(1, end), LENGTH),), rows))
    return encoded


def short(prompts):
    """The same, cut."""
    return [short_prompt(prompt.tokens, prompt.chunks[0].words, prompt.embeddings) for prompt in whole(prompts)]


def test_a_short_window_has_five_rows_of_padding_and_knows_how_many_it_leaves_out():
    (entry,), (cut,) = whole(["two birds"]), short(["two birds"])
    assert cut.tokens == entry.tokens[:9] and cut.chunks == (Chunk(0, range(1, 3), 9),) and cut.padding == LENGTH - 9
    assert torch.equal(cut.embeddings, entry.embeddings[:9])
    (full,) = short([" ".join("x" * 13)])
    assert len(full.tokens) == LENGTH and full.padding == 0


def rows_of(prompts):
    return torch.cat([prompt.embeddings[1:] for prompt in whole(prompts)]).double()


def test_captions_and_words_have_their_shares():
    captions, words = (rows_of(prompts) for prompts in (TEXTS.captions, ("a rose", "a harpsichord")))
    expected = 0.3 * captions.T @ captions / len(captions) + 0.7 * words.T @ words / len(words)
    torch.testing.assert_close(read_known(whole, TEXTS).whole(), expected)
    alone = captions.T @ captions / len(captions)
    torch.testing.assert_close(read_known(whole, KnownTexts(TEXTS.captions)).whole(), alone)


def test_the_last_row_of_a_short_window_stands_for_the_padding_behind_it():
    torch.testing.assert_close(read_known(whole, TEXTS, short).whole(), read_known(whole, TEXTS).whole())
    torch.testing.assert_close(second_moment(short(["a cat"])), second_moment(whole(["a cat"])))


def test_short_windows_are_used_only_where_they_say_the_same():
    (entry,) = whole(["a cat"])
    assert short_windows(entry, short, "a cat") is short
    assert short_windows(entry, None, "a cat") is None

    def bidirectional(prompts):
        return [replace(prompt, embeddings=prompt.embeddings + 0.1) for prompt in short(prompts)]

    def forgetful(prompts):
        return [replace(prompt, padding=0) for prompt in short(prompts)]

    def rounded(prompts):
        return [replace(prompt, embeddings=prompt.embeddings * 1.005) for prompt in short(prompts)]

    assert short_windows(entry, bidirectional, "a cat") is None and short_windows(entry, forgetful, "a cat") is None
    assert short_windows(entry, rounded, "a cat") is rounded


def test_what_was_stopped_goes_on():
    sums, read = MomentSums(), []

    def stop(done, of):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sums.go_on(TEXTS, whole, 2, stop)
    assert sums.read == 2

    def encode(prompts):
        read.extend(prompts)
        return whole(prompts)

    told = []
    moment = read_known(encode, TEXTS, sums=sums, advance=lambda done, of: told.append((done, of))).whole()
    torch.testing.assert_close(moment, read_known(whole, TEXTS).whole())
    assert read == ["two birds", "a rose", "a harpsichord"] and told == [(2, 5), (3, 5), (5, 5)]


def test_fewer_words_are_the_most_frequent():
    assert TEXTS.within(1) == KnownTexts(TEXTS.captions, ("rose",)) and len(TEXTS.within(1)) == 4


def test_numbers_that_are_not_finite_are_refused():
    def broken(prompts):
        return [replace(prompt, embeddings=prompt.embeddings * torch.inf) for prompt in whole(prompts)]

    with pytest.raises(EditError, match="not finite"):
        read_known(broken, TEXTS)


@pytest.mark.parametrize("reading", [None, short], ids=["whole", "short"])
def test_what_is_edited_leaves_the_moment_as_it_came_in(reading):
    """So that S stays positive even where a recipe edits all that is known."""
    known = read_known(whole, TEXTS, reading)
    for subjects in (["a cat"], ["cat", "dog in snow", "birds", "rose", "harpsichord"]):
        own = read_known(whole, TEXTS.about(subjects), reading)
        found, expected = known.beside(subjects, whole), known.sums.without(own.sums, 0.9).moment()
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
        assert float(torch.linalg.eigvalsh(found).min()) > 0
    torch.testing.assert_close(found, known.whole(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("away", [0.0, 0.02, 0.2])
def test_sums_of_another_encoder_stay_positive(away):
    """What is left out was read with this encoder, and the sums with a relative of it."""

    def relative(prompts):
        generator = torch.Generator().manual_seed(1)
        for prompt in whole(prompts):
            noise = torch.randn(prompt.embeddings.shape, generator=generator)
            yield replace(prompt, embeddings=prompt.embeddings + away * noise * prompt.embeddings.norm() / noise.norm())

    known = read_known(lambda prompts: list(relative(prompts)), TEXTS)
    moment = known.beside(["cat", "dog in snow", "birds", "rose", "harpsichord"], whole)
    assert float(torch.linalg.eigvalsh(shrunk(moment)).min()) > 0


@pytest.mark.parametrize("in_short", [True, False], ids=["short", "whole"])
def test_what_is_edited_is_read_in_the_windows_of_the_rest(in_short):
    """By an encoder whose padding goes on changing, as real ones do."""

    def drifting(prompts):
        return [replace(prompt, embeddings=prompt.embeddings + torch.arange(LENGTH)[:, None]) for prompt in whole(prompts)]

    def cut(prompts):
        return [short_prompt(prompt.tokens, prompt.chunks[0].words, prompt.embeddings) for prompt in drifting(prompts)]

    reading = cut if in_short else None
    known, own = (read_known(drifting, texts, reading) for texts in (TEXTS, TEXTS.about(["cat"])))
    left = known.sums.without(own.sums, 0.9)
    torch.testing.assert_close(known.beside(["cat"], drifting), left.moment(), rtol=1e-12, atol=1e-12)
    assert (left.read, left.short) == (4, in_short)


def test_a_pipelines_short_windows_say_what_its_whole_ones_say():
    pytest.importorskip("diffusers", reason="diffusers is not installed")
    from edit_assumption.pipelines.pipeline_encoder import PipelineEncoder
    from edit_assumption.pipelines.pipeline_moments import moment_of, words_and_short_windows
    from edit_assumption.pocket.captions import bare_captions
    from edit_assumption.pocket.model import pipeline

    pipe = pipeline()
    encode, prompts = PipelineEncoder(pipe), bare_captions()
    words, cut = words_and_short_windows(pipe)
    assert short_windows(encode(prompts[:1])[0], cut, prompts[0]) is cut
    for entry, brief in zip(encode(prompts), cut(prompts), strict=True):
        length = len(brief.tokens)
        assert brief.tokens == entry.tokens[:length] and length == entry.words[-1] + 2 + SHORT_PADDING
        assert length + brief.padding == len(entry.tokens) and brief.words == entry.words
        assert float((brief.embeddings - entry.embeddings[:length]).norm() / entry.embeddings[:length].norm()) < 1e-5
    assert {"rose", "tulips", "umbrella"} <= set(words)
    exact = read_known(encode, KnownTexts(prompts, words)).whole()
    assert (
        0 < float((moment_of(pipe, prompts).whole() - exact).norm() / exact.norm()) < 0.1
    )  # padding goes on changing a little
