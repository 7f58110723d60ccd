"""Attributes behind the noun: no word moves in an encoder that looks back alone, and people are told."""

from dataclasses import replace

import clip_helpers
import pytest
import torch
from edit_assumption.editing.assumptions import report
from edit_assumption.editing.assumptions.edit import make_edit
from edit_assumption.editing.assumptions.edit_preview import preview
from edit_assumption.editing.assumptions.end_only import end_only_sources
from edit_assumption.editing.assumptions.prompt_pair import PromptPair
from edit_assumption.editing.assumptions.recipe import parse_recipe
from edit_assumption.editing.encoding import Chunk, EncodedPrompt
from edit_assumption.editing.wording import end_only_remark
from transformers import T5Config, T5EncoderModel

WIDTH = 64
ADVICE = "Write what is new before the noun, as in “a snowy rose” or “a female doctor”."


@pytest.fixture(scope="module")
def clip():
    return clip_helpers.ClipEncoder(clip_helpers.clip_text_model(WIDTH, seed=3))


@pytest.fixture(scope="module")
def t5():
    """An encoder in which every word sees the whole prompt; unpadded, one end token."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = T5Config(vocab_size=64, d_model=WIDTH, d_kv=16, d_ff=64, num_layers=2, num_heads=4, dropout_rate=0)
        model = T5EncoderModel(config).eval()
    vocabulary = {word: 2 + number for number, word in enumerate(clip_helpers.WORDS.split())}

    @torch.no_grad()
    def encode(prompts):
        encoded = []
        for prompt in prompts:
            words = prompt.split()
            ids = torch.tensor([[*(vocabulary[word] for word in words), 1]])
            tokens = (*(f"▁{word}" for word in words), "</s>")
            encoded.append(EncodedPrompt(tokens, (Chunk(0, range(len(words)), len(tokens)),), model(ids)[0][0]))
        return encoded

    return encode


def sources(encode, *pairs):
    texts = list(dict.fromkeys(text for pair in pairs for text in pair))
    return end_only_sources([PromptPair(*pair) for pair in pairs], dict(zip(texts, encode(texts), strict=True)))


BEHIND = [("a rose", "a rose in a field"), ("a doctor", "a doctor with a red apple")]


def test_behind_the_noun_only_the_end_moves_where_words_look_back(clip):
    assert sources(clip, *BEHIND, ("a rose", "a rose on a house")) == ("a rose", "a doctor")


def test_behind_the_noun_words_move_where_they_see_the_whole_prompt(t5):
    assert sources(t5, *BEHIND) == ()


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("a rose", "a red rose"),  # before the noun
        ("a rose", "a red rose in a field"),
        ("a rose", "tulips"),
        ("a rose", ""),
    ],
)
def test_other_pairs_are_not_named(clip, t5, source, destination):
    assert sources(clip, (source, destination)) == ()
    assert sources(t5, (source, destination)) == ()


@pytest.mark.parametrize(("words", "end", "named"), [(0.005, 0.5, True), (0.02, 0.5, False), (0.005, 0.008, False)])
def test_words_count_as_unmoved_within_rounding(words, end, named):
    """Two words and their end, moved by so much of their length."""
    before = torch.ones(3, 4)
    after = before * torch.tensor([[1 + words], [1 + words], [1 + end]])
    chunk = (Chunk(0, range(2), 3),)
    encoded = {
        text: EncodedPrompt(("a</w>", "rose</w>", "(end)"), chunk, rows) for text, rows in (("it", before), ("more", after))
    }
    assert end_only_sources([PromptPair("it", "more")], encoded) == (("it",) if named else ())


@pytest.mark.parametrize("words", [range(0), range(1)])
def test_a_prompt_without_words_or_without_end_is_not_named(words):
    before, after = (EncodedPrompt(("a</w>",), (Chunk(0, words, 1),), torch.full((1, 4), size)) for size in (1.0, 2.0))
    assert end_only_sources([PromptPair("it", "more")], {"it": before, "more": after}) == ()
    assert end_only_sources([PromptPair("it", "more")], {"it": before, "more": before}) == ()


def test_remark_names_the_first_three():
    assert end_only_remark(()) == ""
    assert end_only_remark(["a rose"]) == f"No word of “a rose” moves, only the end of the prompt. {ADVICE}"
    assert end_only_remark("abcde").startswith("No word of “a”, “b”, “c” and 2 more moves, only")
    assert " more " not in end_only_remark("abc")


def test_report_and_preview_say_it_in_one_line(clip):
    edit = make_edit(parse_recipe("a rose -> a rose in a field\na cat -> a red cat", regularizer="identity"), clip)
    assert edit.end_only == ("a rose",)
    line = f"No word of “a rose” moves, only the end of the prompt. {ADVICE}"
    assert report.describe(edit, [], {"keys": 0.1}).splitlines().count(line) == 1
    shown = preview(edit, clip)
    assert shown.end_only == ("a rose",) and shown.text().splitlines().count(line) == 1
    assert preview(replace(edit, end_only=()), clip).end_only == ("a rose",)  # as an edit from a file has it
    assert "No word" not in report.describe(replace(edit, end_only=()), [], {"keys": 0.1})


def test_picture_says_it_beside_the_pair(clip):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    from edit_assumption.pictures.preview_chart import preview_picture

    edit = make_edit(parse_recipe("a rose -> a rose in a field\na cat -> a red cat", regularizer="identity"), clip)
    titles = [axes.get_title(loc="left") for axes in preview_picture(preview(edit, clip)).axes[:2]]
    assert sorted(titles) == ["a cat  →  a red cat", "a rose  →  a rose in a field  (no word moves, only the end)"]
