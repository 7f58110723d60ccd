"""Which of the known texts speak of what is edited, and that these are not held in place."""

import clip_helpers
import pytest
import torch
from edit_assumption.editing.assumptions.edit import make_edit
from edit_assumption.editing.assumptions.moments import read_known, second_moment
from edit_assumption.editing.assumptions.recipe import parse_recipe
from edit_assumption.editing.known_texts import KnownTexts
from formulas import distance


@pytest.fixture
def encode():
    return clip_helpers.ClipEncoder(clip_helpers.clip_text_model(128, seed=3))


TEXTS = KnownTexts(
    ("a rose", "a red rose in a garden", "two roses, highly detailed", "a rosemary", "a bus", "a pack of wolves", "a Cherry."),
    ("rose", "roses", "Rosé", "bus", "pack", "cherries", "glass"),
)


@pytest.mark.parametrize(
    ("subject", "captions", "words"),
    [
        ("a rose", ("a rose", "a red rose in a garden", "two roses, highly detailed"), ("rose", "roses")),
        ("ROSES", ("a rose", "a red rose in a garden", "two roses, highly detailed"), ("rose", "roses")),
        ("a red rose", ("a red rose in a garden",), ()),
        ("a pack of roses", (), ()),
        ("the buses", ("a bus",), ("bus",)),
        ("cherry", ("a Cherry.",), ("cherries",)),
        ("a glass", (), ("glass",)),
        ("玫瑰", (), ()),
        ("the", (), ()),
        ("", (), ()),
    ],
)
def test_texts_about_a_subject_have_all_of_its_words(subject, captions, words):
    assert TEXTS.about([subject]) == KnownTexts(captions, words)


@pytest.mark.parametrize(("subject", "other"), [("a bass", "a base"), ("a pie", "a pi"), ("a dog", "a doe")])
def test_words_that_are_no_plural_of_each_other_are_told_apart(subject, other):
    texts = KnownTexts((subject, other))
    assert texts.about([subject]).captions == (subject,) and texts.about([other]).captions == (other,)


def test_a_plural_of_four_letters_is_a_plural():
    assert KnownTexts(("two dogs", "two cats"), ("dogs",)).about(["a dog"]) == KnownTexts(("two dogs",), ("dogs",))


def test_so_many_words_at_most():
    assert TEXTS.within(2) == KnownTexts(TEXTS.captions, ("rose", "roses")) and TEXTS.within(99) == TEXTS


def test_texts_about_several_subjects_speak_of_any():
    found = TEXTS.about(["a bus", "a rose", "a bus"])
    assert found.captions == ("a rose", "a red rose in a garden", "two roses, highly detailed", "a bus")
    assert found.words == ("rose", "roses", "bus")


def test_what_is_edited_is_left_out_of_the_moment(encode):
    texts = KnownTexts(("a cat", "a dog on a house", "a rose in the snow", "two roses"), ("rose", "cat", "house"))
    known = read_known(encode, texts)
    left = known.beside(["roses"], encode)
    assert torch.equal(known.beside(["a tulip"], encode), known.whole())

    def mean(prompts, weights):
        parts = [second_moment(encode([prompt])) * len(encode([prompt])[0].embeddings[1:]) for prompt in prompts]
        rows = [len(encode([prompt])[0].embeddings[1:]) for prompt in prompts]
        return sum(w * p for w, p in zip(weights, parts, strict=True)) / sum(w * n for w, n in zip(weights, rows, strict=True))

    captions = mean(texts.captions, (1, 1, 0.1, 0.1))
    words = mean(("a rose", "a cat", "a house"), (0.1, 1, 1))
    assert distance(left, 0.3 * captions + 0.7 * words) < 1e-12
    assert float(torch.linalg.eigvalsh(left).min()) > -1e-9


def test_an_edit_is_made_without_its_own_texts(encode):
    texts = KnownTexts(("a cat", "a dog on a house", "a rose", "a tulip"), ("rose", "cat"))
    recipe, known = parse_recipe("a rose -> a red rose"), read_known(encode, texts)
    edit = make_edit(recipe, encode, moment=known)
    beside, whole = (make_edit(recipe, encode, moment=moment) for moment in (known.beside(["a rose"], encode), known.whole()))
    assert torch.equal(edit.context_map.change(), beside.context_map.change())
    assert edit.residual < whole.residual
    # A pair that is off is not edited.
    off = parse_recipe("a rose -> a red rose\na cat -> a black cat @ 0")
    assert torch.equal(make_edit(off, encode, moment=known).context_map.change(), edit.context_map.change())
