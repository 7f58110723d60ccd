"""What is shown of an edit before a picture is drawn, and the pictures of it."""

import warnings

import clip_helpers
import pytest
import torch
from edit_assumption.editing.assumptions.edit import make_edit
from edit_assumption.editing.assumptions.edit_preview import preview
from edit_assumption.editing.assumptions.preserve_lists import NO_LIST, listed, preserve_lists
from edit_assumption.editing.assumptions.reach import reach
from edit_assumption.editing.assumptions.recipe import parse_recipe
from edit_assumption.editing.encoding import Chunk, EncodedPrompt
from edit_assumption.editing.errors import EditError
from edit_assumption.editing.lines import tidy
from edit_assumption.editing.preview import Aligned, Preview, aligned, plain
from edit_assumption.editing.shares import Round, Wanted

WIDTH = 128


@pytest.fixture(scope="module")
def encode():
    return clip_helpers.ClipEncoder(clip_helpers.clip_text_model(WIDTH, seed=3))


@pytest.fixture(scope="module")
def edit(encode):
    return make_edit(parse_recipe("a pack of roses -> a pack of blue roses\nvan gogh -> @ 0.5", regularizer="identity"), encode)


def test_every_word_has_its_answer(edit, encode):
    shown = preview(edit, encode)
    roses, painter = shown.aligned
    assert roses.words == (("a", "a"), ("pack", "pack"), ("of", "of"), ("roses", "roses"), ("(end)", "(end)"))
    assert painter.destination == "" and {answer for _, answer in painter.words} == {"(end)"}


def test_reach_and_spectrum_are_those_of_the_map(edit, encode):
    shown = preview(edit, encode, related=["roses at night"], unrelated=["a house"])
    related, *sources = (
        reach(edit.context_map, prompt, edit.encoder.unit)
        for prompt in encode(["roses at night", "a pack of roses", "van gogh"])
    )
    assert shown.sources == dict(zip(("a pack of roses", "van gogh"), map(pytest.approx, sources), strict=True))
    assert shown.related == {"roses at night": pytest.approx(related)}
    expected = torch.linalg.svdvals(edit.context_map.change().double())[: edit.context_map.rank]
    assert torch.allclose(shown.spectrum, expected, rtol=1e-4, atol=1e-6)


def test_unrelated_prompts_that_change_are_named(edit, encode):
    shown = preview(edit, encode, unrelated=["a pack of roses in a vase", "a house"])
    assert shown.unrelated["a pack of roses in a vase"] > shown.limit
    assert shown.leaking[0] == "a pack of roses in a vase"
    assert "“a pack of roses in a vase”" in shown.text().splitlines()[-1]
    assert "Warning" not in preview(edit, encode).text()


def test_the_numbers_line_by_line():
    shown = Preview(
        (Aligned("a rose", "a tulip", ()), Aligned("van gogh", "", ())),
        {"a rose": 0.5}, {"roses": 0.25}, {"a cat": 0.3, "a dog": 0.2},
        torch.tensor([2.0, 1.0]), end_only=("a rose",),
    )  # fmt: skip
    assert shown.text().splitlines() == [
        "a rose → a tulip",
        "van gogh → (forgotten)",
        "No word of “a rose” moves, only the end of the prompt. Write what is new before the noun, as in “a snowy rose” or “a "
        "female doctor”.",
        "source: a rose: words move by 50 %",
        "related: roses: words move by 25 %",
        "unrelated: a cat: words move by 30 %",
        "unrelated: a dog: words move by 20 %",
        "rank 2, largest singular value of M - I 2",
        "Warning: “a cat”, “a dog” will change; raise the regularization or preserve what must stay.",
    ]


def test_tokens_as_people_write_them():
    pieces = {"<|startoftext|>": "(start)", "<|endoftext|>": "(end)", "</s>": "(end)", "<pad>": "(pad)", "rose</w>": "rose",
              "ro": "ro", "▁rose": "rose", "Ġrose": "rose", "a▁": "a▁", "X": "X"}  # fmt: skip
    assert {piece: plain(piece) for piece in pieces} == pieces


def test_a_window_that_is_full_to_its_end_has_no_end_beside_its_words():
    full, half = (
        EncodedPrompt(("<s>", "a</w>", "b</w>"), (Chunk(0, range(1, stop), 3),), torch.zeros(3, 0)) for stop in (3, 2)
    )
    assert aligned("a b", "a b", full, full).words == (("a", "a"), ("b", "b"))
    assert aligned("a", "a", half, half).words == (("a", "a"), ("b", "b"))


def test_an_edit_of_another_encoder_is_refused(edit):
    other = clip_helpers.ClipEncoder(clip_helpers.clip_text_model(WIDTH, seed=4))
    with pytest.raises(EditError, match="another text encoder"):
        preview(edit, other)


def test_pictures_have_their_words(edit, encode):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    from edit_assumption.pictures.preview_chart import preview_picture
    from edit_assumption.pictures.shares import shares_picture
    from edit_assumption.pictures.style import pixels

    figure = preview_picture(preview(edit, encode, unrelated=["a pack of roses in a vase"]))
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[0] == "a pack of roses  →  a pack of blue roses" and titles[-1] == "spectrum of M - I"
    assert "1 of 1" in figure.get_supxlabel()
    drawn = pixels(figure)
    assert drawn.ndim == 3 and drawn.shape[2] == 3 and 0 <= drawn.min() < 0.5 < drawn.max() <= 1
    wanted = Wanted("a doctor", ("a female doctor", "a male doctor"), (0.5, 0.5))
    chart = shares_picture(wanted, [Round((0.5, 0.5), (9, 1)), Round((0.6, 0.4), (6, 4))])
    lines = {line.get_label(): list(line.get_ydata()) for line in chart.axes[0].get_lines()}
    assert lines["a female doctor"] == [90, 60] and lines["a male doctor"] == [10, 40]


def test_an_unknown_list_is_refused_with_the_known_ones():
    assert listed(NO_LIST) == () and "a tulip" in listed("flowers")
    with pytest.raises(EditError, match="There is no list “fish”; choose one of none, neutral prompts"):
        listed("fish")


def test_lists_of_prompts_are_tidy_and_have_no_repetition():
    lists = preserve_lists()
    assert len(lists) >= 10 and min(map(len, lists.values())) >= 8
    for prompts in lists.values():
        assert len(set(prompts)) == len(prompts) and all(prompt == tidy(prompt) and prompt for prompt in prompts)


def test_a_dark_page_has_light_words_on_a_dark_ground(edit, encode):
    pytest.importorskip("matplotlib")
    from edit_assumption.pictures.preview_chart import preview_picture
    from edit_assumption.pictures.style import darken, pixels

    light, dark = (preview_picture(preview(edit, encode, unrelated=["a house"])) for _ in range(2))
    darken(dark)
    before, after = pixels(light), pixels(dark)
    assert before.shape == after.shape
    assert before[0, 0].min() == 1 and after[0, 0].max() < 0.2
    # Words and lines are as far from the ground as before: nothing dark is left on it.
    assert after.mean(dim=2).max() > 0.8 and after.mean() < 0.3


def test_texts_of_pictures_are_drawn_letter_for_letter():
    from edit_assumption.pictures.grid import Row, before_after_grid
    from edit_assumption.pictures.style import as_written, pixels
    from matplotlib.text import Text

    picture = torch.zeros(1, 3, 4, 4)
    figure = as_written(before_after_grid([Row("from $5 to $9", "", picture, picture)], [0], "a $x$ b", ""))
    shown = [text for text in figure.findobj(Text) if "$" in text.get_text()]
    assert len(shown) == 2 and not any(text.get_parse_math() for text in shown)
    assert torch.isfinite(pixels(figure)).all()


def test_letters_that_matplotlibs_own_font_lacks_are_drawn():
    from edit_assumption.pictures import style
    from matplotlib.figure import Figure

    if len(style._families()) == 1:
        pytest.skip("no font with Chinese letters is installed")
    figure = Figure(figsize=(2, 1))
    figure.text(0.5, 0.5, "玫瑰 roses")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib's, that a glyph is missing
        style.pixels(figure)
