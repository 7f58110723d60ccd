"""Edits by chance: lines, what is drawn, and the maps of all combinations from one solve."""

from collections import Counter
from dataclasses import replace
from itertools import product

import clip_helpers
import pytest
import torch
from edit_assumption.editing.assumptions import chance_map
from edit_assumption.editing.assumptions.chance_draw import Picture, described_draw, draw
from edit_assumption.editing.assumptions.chance_pair import AS_IS, ChancePair, Variant
from edit_assumption.editing.assumptions.edit import make_edit
from edit_assumption.editing.assumptions.edit_preview import preview
from edit_assumption.editing.assumptions.moments import read_captions
from edit_assumption.editing.assumptions.prompt_pair import PromptPair
from edit_assumption.editing.assumptions.recipe import Recipe, parse_recipe, recipe_from_json, recipe_from_lines, together
from edit_assumption.editing.assumptions.report import describe
from edit_assumption.editing.carried_edits import CarriedEdit
from edit_assumption.editing.edit_file import load_edit, save_edit
from edit_assumption.editing.errors import EditError
from edit_assumption.editing.lines import tidy
from hypothesis import given, settings
from hypothesis import strategies as st
from line_texts import texts

RECIPE = """a doctor -> a female doctor | a male doctor
a wizard -> 30% a wizard without a hat | as is
a rose -> a blue rose
= a tulip"""


def variants(text):
    (chance,) = parse_recipe(text).chances
    return {variant.destination: variant.share for variant in chance.variants}


@pytest.mark.parametrize(
    ("line", "shares"),
    [
        ("a doctor -> a woman | a man", {"a woman": 50, "a man": 50}),
        ("a doctor -> 60% a woman | 40 % a man", {"a woman": 60, "a man": 40}),
        ("a doctor -> 30% a woman | as is", {"a woman": 30, AS_IS: 70}),
        ("a doctor -> 20% a | b | c", {"a": 20, "b": 40, "c": 40}),
        ("a doctor -> 99.5% a | b", {"a": 99.5, "b": 0.5}),
        (r"a doctor -> \50% wool | a \| b", {r"\50% wool": 50, "a | b": 50}),
        (r"a doctor -> 50\% wool | silk", {"50% wool": 50, "silk": 50}),
        ("a doctor -> 5% of 100% wool | silk", {"of 100% wool": 5, "silk": 95}),
    ],
)
def test_shares_are_read(line, shares):
    assert variants(line) == pytest.approx(shares)


def test_a_bar_before_the_arrow_and_a_percent_sign_in_one_destination_are_text():
    (pair,) = parse_recipe("a [red|blue] rose 5% -> a 5% rose").pairs
    assert pair == PromptPair("a [red|blue] rose 5%", "a 5% rose")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a -> 60% b | 50% c", "add up to 110 %; make them 100 %"),
        ("a -> 60% b | 40% c | d", "nothing is left for the variant without a number"),
        (
            "a -> 30% b",
            "“30%” is a share, and there is one variant alone; write “| as is” behind it for the others, "
            "or \\% if it belongs to the text",
        ),
        ("a -> b | ", "A variant is empty; write one on either side of “|”, such as: a female doctor | a male doctor"),
        ("a -> b | B", "each once"),
        ("a -> b | a", "write “as is” for the source as it was"),
        ("a -> as is", "“as is” alone changes nothing"),
        ("a -> 0% b | c", "The share of “b” is 0"),
        ("a -> b @ 0.5 | c", "“|” stands behind a strength"),
    ],
)
def test_what_is_wrong_with_a_line_is_said(line, reason):
    with pytest.raises(EditError) as caught:
        parse_recipe(line)
    assert str(caught.value).startswith("Line 1: ") and reason in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a -> b | c\nA -> d", "“a” is drawn by chance and edited in another line, too"),
        ("a -> b | c\na -> d | e", "write all variants in one line"),
        ("! passes: 1\na -> b | c", "leave the passes out"),
        ("! projections: keys\na -> b | c", "leave out projections, blocks and pooled"),
        ("! pooled: yes\na -> b | c", "leave out projections, blocks and pooled"),
        ("! spread: maybe\na -> b | c", "spread is “maybe”; write yes or no"),
    ],
)
def test_what_cannot_be_drawn_is_refused(text, reason):
    with pytest.raises(EditError, match=reason):
        parse_recipe(text)


def test_variants_by_themselves_are_checked_as_well():
    for wrong in ((Variant("b", 100),), (Variant("b", 50), Variant("B ", 50))):
        with pytest.raises(EditError) as caught:
            ChancePair("a", wrong)
        assert str(caught.value) == (
            "What is drawn by chance has two variants or more, each once; see that none stands there twice."
        )
    with pytest.raises(EditError) as caught:
        Variant(" ", 50)
    assert str(caught.value) == "A variant is empty; write one on either side of “|”, such as: a female doctor | a male doctor"
    assert Variant(" b", "50") == Variant("b", 50.0) and isinstance(Variant("b", "50").share, float)
    thirds = ChancePair("a", tuple(Variant(name, 33.3) for name in "bcd"))
    assert thirds.shares == pytest.approx((1 / 3,) * 3) and sum(variant.share for variant in thirds.variants) == 100


prompts = texts.filter(lambda text: tidy(text) and tidy(text) != AS_IS)
chances = (
    st.tuples(prompts, st.lists(prompts, min_size=1, max_size=3), st.floats(0.1, 99), st.floats(-2, 2))
    .filter(lambda entry: len({tidy(text).lower() for text in (entry[0], *entry[1])}) == len(entry[1]) + 1)
    .map(
        lambda entry: ChancePair(
            entry[0],
            (Variant(AS_IS, entry[2]), *(Variant(text, (100 - entry[2]) / len(entry[1])) for text in entry[1])),
            entry[3],
        )
    )
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(chances, st.booleans(), st.booleans())
def test_text_and_json_give_the_recipe_back(chance, spread, negative):
    recipe = Recipe((PromptPair("a | b", "50% c"),), chances=(chance,), spread=spread, negative=negative)
    assert recipe_from_json(recipe.to_json()) == recipe
    again = parse_recipe(recipe.to_text())
    assert again.pairs == recipe.pairs and again.spread == spread and again.negative == negative
    assert [one.destination for one in again.chances[0].variants] == [one.destination for one in chance.variants]
    assert again.chances[0].shares == pytest.approx(chance.shares)


def test_a_recipe_without_chance_is_written_as_ever():
    assert "chance" not in Recipe((PromptPair("a", "b"),)).to_json()


def test_the_destination_box_takes_variants():
    recipe = recipe_from_lines("a doctor\na rose\na cat", "a woman | 30% a man\na blue rose\n", strength=0.5)
    assert recipe.chances == (ChancePair("a doctor", (Variant("a woman", 70), Variant("a man", 30)), 0.5),)
    assert recipe.pairs == (PromptPair("a cat", "", 0.5), PromptPair("a rose", "a blue rose", 0.5))


def test_recipes_with_and_without_chance_are_solved_together_unless_they_draw_differently():
    plain, drawn, other = map(parse_recipe, ("a -> b", "! spread: yes\nc -> d | e", "f -> g | h"))
    (both,) = together([plain, drawn])
    assert both.pairs == plain.pairs and both.chances == drawn.chances and both.spread
    assert len(together([drawn, other])) == 2


def counted(chance, count, **settings):
    drawn = draw([chance], [Picture(seed) for seed in range(count)], **settings)
    return Counter(chance.variants[own].destination for (own,) in drawn)


def test_draws_have_the_shares_wanted():
    count, chance = 20_000, ChancePair("x", (Variant("a", 60), Variant("b", 30), Variant(AS_IS, 10)))
    drawn = counted(chance, count)
    for share, variant in zip(chance.shares, chance.variants, strict=True):
        assert abs(drawn[variant.destination] - share * count) < 4 * (count * share * (1 - share)) ** 0.5


@pytest.mark.parametrize("count", [1, 2, 3, 7, 10, 64])
def test_a_batch_that_is_spread_is_within_one_picture_of_the_shares(count):
    chance = ChancePair("x", (Variant("a", 60), Variant("b", 30), Variant("c", 10)))
    drawn = counted(chance, count, spread=True)
    assert all(abs(drawn[name] - count * share) < 1 for name, share in {"a": 0.6, "b": 0.3, "c": 0.1}.items())


def test_which_pictures_of_a_spread_batch_draw_what_is_left_to_chance():
    chance = parse_recipe("x -> a | b").chances
    batches = [tuple(draw(chance, [Picture(seed, index) for index in range(4)], spread=True)) for seed in range(300)]
    assert len(set(batches)) == 6  # all ways to have two of each
    singles = Counter(draw(chance, [Picture(seed)], spread=True)[0][0] for seed in range(2000))
    assert abs(singles[0] - 1000) < 90


def test_subjects_draw_independently_and_others_change_nothing():
    one, two = parse_recipe("x -> a | b\ny -> c | d").chances
    pictures = [Picture(seed, index) for seed in range(1000) for index in range(4)]
    together_ = draw([one, two], pictures)
    assert [own[:1] for own in together_] == draw([one], pictures)
    assert all(abs(count - 1000) < 120 for count in Counter(together_).values()) and len(Counter(together_)) == 4


def test_a_picture_draws_the_same_alone_and_in_any_batch():
    chances, pictures = parse_recipe("x -> a | b\ny -> c | d").chances, [Picture(seed, seed % 3) for seed in range(12)]
    alone = [draw(chances, [picture])[0] for picture in pictures]
    assert draw(chances, pictures) == alone and draw(chances, pictures[::-1]) == alone[::-1]
    assert draw([], pictures) == [()] * 12 and draw(chances, []) == []


def test_a_picture_that_was_drawn_once_is_drawn_again_in_later_releases():
    (chance,) = parse_recipe("a Doctor -> 60% a woman | a man | as is").chances
    drawn = [draw([chance], [Picture(seed, index)])[0][0] for seed in range(6) for index in range(3)]
    assert drawn == [2, 2, 1, 1, 2, 1, 1, 1, 1, 2, 0, 1, 0, 2, 1, 0, 1, 1]
    assert drawn == [draw([replace(chance, source="A DOCTOR")], [Picture(s, i)])[0][0] for s in range(6) for i in range(3)]


def test_numbers_stand_for_variants_by_their_shares():
    halves, tenths = parse_recipe("x -> a | b\ny -> " + " | ".join("abcdefghij")).chances
    assert [halves.draw(number) for number in (0.0, 0.49, 0.5, 0.99)] == [0, 0, 1, 1]
    assert [tenths.draw(number) for number in (0.05, 0.15, 0.95, 0.9999999999999999)] == [0, 1, 9, 9]  # ten tenths are below 1


def test_what_was_drawn_is_said():
    chances = parse_recipe("a doctor -> a man | a woman\na wizard -> a witch | as is").chances
    assert described_draw(chances, (1, 0)) == "a woman, a witch"
    assert described_draw(chances, (0, 1)) == "a man, a wizard as it is"


def test_equal_shares_are_written_without_numbers():
    for line in ("a doctor -> a man | a woman", "a doctor -> 30% a man | 70% a woman", "a doctor -> 12.5% a man | 87.5% as is"):
        (chance,) = parse_recipe(line).chances
        assert chance.to_text() == line


@pytest.fixture(scope="module")
def encode():
    return clip_helpers.ClipEncoder(clip_helpers.clip_text_model(192, seed=3))


def one_by_one(recipe, drawn):
    """The recipe of one combination, every source that stays as it is preserved with the weight that it has."""
    pairs = [pair for chance, own in zip(recipe.drawn, drawn, strict=True) if (pair := chance.each()[own])]
    kept = [
        source
        for chance, own in zip(recipe.drawn, drawn, strict=True)
        if chance.each()[own] is None
        for source, _ in chance.pairs()[0].sentences()
    ]
    return replace(recipe, pairs=recipe.pairs + tuple(pairs), chances=(), preserve=recipe.preserve + tuple(kept))


def relative(found, expected):
    return float((found.double() - expected.double()).norm() / expected.double().norm())


@pytest.mark.parametrize("regularizer", ["captions", "identity"])
@pytest.mark.parametrize("more", ["", "\n== a poppy", "\na cat -> a dog | a fox | a bird"], ids=["few", "strict", "many"])
def test_every_combination_is_that_of_its_own_solve(encode, regularizer, more):
    recipe = parse_recipe(RECIPE + more, regularizer=regularizer)
    moment = read_captions(encode).beside(recipe.sources, encode) if regularizer == "captions" else None
    edit = make_edit(recipe, encode, moment=moment, scaled=False)
    for drawn in product(*(range(len(chance.variants)) for chance in recipe.drawn)):
        alone = make_edit(one_by_one(recipe, drawn), encode, moment=moment, scaled=False, tolerance=0.0)
        found, expected = edit.chance.map_of(drawn).change().double(), alone.context_map.change().double()
        # How far the solution is carried is taken from all variants in the one, and from one of each in the other.
        factor = float((found * expected).sum() / expected.square().sum())
        assert relative(found, factor * expected) < 1e-6 and factor == pytest.approx(1, rel=0.1 if moment is not None else 1e-6)


def test_both_ways_to_solve_agree(encode, monkeypatch):
    recipe = parse_recipe(RECIPE)
    by_sums = make_edit(recipe, encode).chance
    monkeypatch.setattr(chance_map, "_by_sums", chance_map._by_tokens)
    by_tokens = make_edit(recipe, encode).chance
    assert relative(by_tokens.map_of((1, 0)).change(), by_sums.map_of((1, 0)).change()) < 1e-6


def test_rows_are_mapped_by_what_they_drew(encode):
    edit = make_edit(parse_recipe(RECIPE), encode)
    rows = torch.stack([encode(["a doctor and a wizard"])[0].embeddings] * 3)
    mapped = edit.chance.apply(rows, [(0, 1), None, (1, 0)])
    torch.testing.assert_close(mapped[0], edit.chance.map_of((0, 1)).apply(rows[0]))
    torch.testing.assert_close(mapped[2], edit.chance.map_of((1, 0)).apply(rows[2]))
    assert torch.equal(mapped[1], rows[1])
    assert edit.chance.apply(rows.half(), [(0, 0)] * 3).dtype == torch.float16
    assert edit.chance.apply(rows, [None] * 3) is rows


def test_the_mean_is_what_the_weights_would_hold(encode):
    recipe = parse_recipe("! regularizer: identity\na doctor -> 60% a female doctor | a male doctor\na rose -> a blue rose")
    edit = make_edit(recipe, encode)
    weighted = replace(recipe, pairs=recipe.pairs + recipe.chances[0].pairs(), chances=())
    assert relative(edit.context_map.change(), make_edit(weighted, encode, tolerance=0.0).context_map.change()) < 1e-5


def test_on_captions_the_mean_is_what_the_weights_would_hold(encode):
    recipe = parse_recipe("a doctor -> 60% a female doctor | a male doctor")
    weighted = replace(recipe, pairs=recipe.chances[0].pairs(), chances=())
    mean, weights = (make_edit(entry, encode, tolerance=0.0).context_map.change() for entry in (recipe, weighted))
    assert relative(mean, weights) < 1e-3


def test_strength_scales_every_variant(encode):
    edit = make_edit(parse_recipe(RECIPE), encode)
    half = edit.scale(0.5)
    assert relative(half.chance.map_of((0, 0)).change(), 0.5 * edit.chance.map_of((0, 0)).change()) < 1e-6
    assert relative(half.context_map.change(), 0.5 * edit.context_map.change()) < 1e-6


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        ("a doctor -> a female doctor | a male doctor\n== a doctor", "do not preserve its source"),
        ("! regularization: 1e12\na doctor -> a female doctor | a male doctor", "lower the regularization"),
    ],
)
def test_an_edit_that_does_nothing_is_refused(encode, recipe, reason):
    with pytest.raises(EditError, match=reason):
        make_edit(parse_recipe(recipe, augmentations=()), encode)


def test_no_weight_holds_it(encode):
    edit = make_edit(parse_recipe(RECIPE), encode)
    with pytest.raises(EditError, match="drawn by chance for every picture anew"):
        edit.maps([], {})


def test_people_are_told_what_is_drawn(encode):
    recipe = parse_recipe("! spread: yes\n! negative: no\n" + RECIPE)
    edit = make_edit(recipe, encode)
    lines = describe(edit, [], {}).splitlines()
    assert "a doctor → by chance 50% a female doctor | 50% a male doctor" in lines
    assert "a wizard → by chance 30% a wizard without a hat | 70% as is" in lines
    drawn = "every picture draws its variant, a batch gets the shares as nearly as it can"
    assert any(line.startswith(drawn) and line.endswith("the negative prompt is left as it is") for line in lines)
    assert not any("several destinations" in line for line in lines)
    assert CarriedEdit(recipe).edits()[0] == "a rose → a blue rose" and len(CarriedEdit(recipe).edits()) == 3
    assert preview(edit, encode).sources.keys() == {"a doctor", "a wizard", "a rose"}


def test_files_give_it_back(encode, tmp_path):
    path = tmp_path / "edit.safetensors"
    edit = make_edit(parse_recipe(RECIPE), encode)
    save_edit(edit, path)
    again = load_edit(path)
    assert again.recipe == edit.recipe
    assert torch.equal(again.chance.map_of((1, 0)).change(), edit.chance.map_of((1, 0)).change())
