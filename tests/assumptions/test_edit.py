"""From recipe to edit with a real, small CLIP, and what is said about the result."""

from dataclasses import replace

import clip_helpers
import pytest
import torch
from edit_assumption.editing.alignment import align
from edit_assumption.editing.assumptions import report
from edit_assumption.editing.assumptions.carry import Carried
from edit_assumption.editing.assumptions.closed_form import EXACT, solve, token_scale
from edit_assumption.editing.assumptions.context_map import ContextMap
from edit_assumption.editing.assumptions.edit import VISIBLE, make_edit, solve_edit, solve_regularized
from edit_assumption.editing.assumptions.moments import read_captions, second_moment, shrunk
from edit_assumption.editing.assumptions.prompt_pair import PromptPair
from edit_assumption.editing.assumptions.reach import ordinary_reach, reach, token_reach
from edit_assumption.editing.assumptions.recipe import Recipe, parse_recipe
from edit_assumption.editing.assumptions.token_columns import columns_of
from edit_assumption.editing.assumptions.weight_change import edit_change, relative_change
from edit_assumption.editing.encoding import Chunk, EncodedPrompt
from edit_assumption.editing.errors import EditError
from edit_assumption.editing.ordinary_captions import ordinary_captions
from edit_assumption.editing.projections import POOLED, Projection
from edit_assumption.editing.wording import shortened

WIDTH = 128  # more than one prompt has tokens, so that one pair can be met exactly


@pytest.fixture(scope="module")
def text_model():
    return clip_helpers.clip_text_model(WIDTH, seed=3)


@pytest.fixture
def encode(text_model):
    return clip_helpers.ClipEncoder(text_model)


def recipe_of(text, **defaults):
    return parse_recipe(text, **{"augmentations": (), "regularization": 1e-4, "regularizer": "identity", **defaults})


def relative(found, expected):
    return float((found - expected).norm() / expected.norm())


def test_every_distinct_prompt_is_encoded_once_in_one_call(encode):
    recipe = parse_recipe(
        "roses -> blue roses\nblue roses -> tulips\na cat -> a dog @ 0\n= roses\n= a house", regularizer="identity"
    )
    make_edit(recipe, encode)
    assert len(encode.calls) == 1
    lines = ("", "A photo of ", "An image of ", "A picture of ")
    edited = [line + prompt for line in lines for prompt in ("roses", "blue roses", "tulips")]
    assert sorted(encode.calls[0]) == sorted([*edited, "a house"])


@pytest.mark.parametrize(
    ("source", "destination"), [("a pack of roses", "a pack of blue roses"), ("a red rose", "tulips"), ("van gogh", "")]
)
def test_source_tokens_land_on_the_destination(source, destination, encode):
    edit = make_edit(recipe_of(f"{source} -> {destination}"), encode)
    before, after = encode([source, destination])
    target = after.embeddings[align(before, after)]
    assert relative(before.embeddings, target) > 0.1
    assert relative(edit.context_map.apply(before.embeddings), target) < 0.01
    assert edit.residual < 0.01


def test_captions_hold_in_place_what_they_say(encode):
    """The default: lambda weighs on the second moment of captions, and they together as much as 10 d tokens."""
    recipe = parse_recipe("a red rose -> tulips")
    captions = ("a cat", "two dogs on a beach", "a painting of a house", "a pack of tulips")
    moment = read_captions(encode, captions).whole()
    edit = make_edit(recipe, encode, moment=moment)
    known = dict(zip(recipe.prompts(), encode(recipe.prompts()), strict=True))
    columns = columns_of(recipe, known)
    carried = Carried(reach=1.2, most=1.5)  # what is held back in other sentences is made up for
    solution = solve(columns, 0.1 * 100 * WIDTH, moment=shrunk(moment), tolerance=VISIBLE, carried=carried)
    assert same_map(edit.context_map, solution.context_map)
    alike = make_edit(replace(recipe, regularizer="identity"), encode)
    for kept in encode(captions):
        assert reach(edit.context_map, kept) < 0.4 * reach(alike.context_map, kept)


def test_the_regularization_is_scaled_unless_it_is_told_not_to_be(encode):
    recipe = recipe_of("a red rose -> tulips", regularization=0.1)
    known = dict(zip(recipe.prompts(), encode(recipe.prompts()), strict=True))
    columns = columns_of(recipe, known)
    for scaled, strength in ((True, 0.1 * token_scale([columns])), (False, 0.1)):
        direct = solve(columns, strength, False).context_map
        for given in (columns, [columns]):
            assert same_map(solve_regularized(given, 0.1, scaled).context_map, direct)
        assert same_map(solve_edit(recipe, known, None, scaled, EXACT).context_map, direct)
    assert same_map(solve_regularized(columns, 0.1).context_map, solve_regularized(columns, 0.1, True).context_map)
    assert same_map(solve_edit(recipe, known, torch.eye(WIDTH)).context_map, solve_edit(recipe, known, None, True).context_map)
    short = solve_regularized(columns, 0.1, tolerance=0.3).context_map
    assert short.rank < solve_regularized(columns, 0.1).context_map.rank


def test_the_default_leaves_out_what_no_token_shows(encode):
    recipe, moment = parse_recipe("a red rose -> tulips"), read_captions(encode, ("a cat", "two dogs on a beach")).whole()
    whole, short = (make_edit(recipe, encode, moment=moment, **given).context_map for given in ({"tolerance": EXACT}, {}))
    assert short.rank < whole.rank and short.nbytes < whole.nbytes
    for prompt in encode(["a red rose", "A photo of a red rose", "a cat", "tulips in a field"]):
        moved, as_well = (each.apply(prompt.embeddings) - prompt.embeddings for each in (whole, short))
        assert float((as_well - moved).norm() / prompt.embeddings.norm()) < 1e-3


def test_captions_are_plain_english_if_none_are_given(encode):
    recipe = parse_recipe("a red rose -> tulips")
    edit = make_edit(recipe, encode)
    assert [text for call in encode.calls[1:] for text in call] == list(ordinary_captions())
    assert same_map(edit.context_map, make_edit(recipe, encode, moment=read_captions(encode)).context_map)


def test_strength_goes_part_of_the_way(encode):
    edit = make_edit(recipe_of("a red rose -> tulips @ 0.25"), encode)
    before, after = encode(["a red rose", "tulips"])
    target = before.embeddings + 0.25 * (after.embeddings[align(before, after)] - before.embeddings)
    assert relative(edit.context_map.apply(before.embeddings), target) < 0.01


def test_augmentations_carry_the_edit_into_sentences(encode):
    plain = make_edit(recipe_of("a red rose -> tulips", regularization=0.1), encode)
    augmented = make_edit(recipe_of("a red rose -> tulips", regularization=0.1, augmentations=("A photo of",)), encode)
    before, after = encode(["A photo of a red rose", "A photo of tulips"])
    target = after.embeddings[align(before, after)]
    missed = [relative(edit.context_map.apply(before.embeddings), target) for edit in (augmented, plain)]
    assert missed[0] < 0.5 * missed[1]


def test_preserved_prompt_is_reached_less(encode):
    text = "a pack of roses -> a pack of blue roses"
    kept = encode(["a pack of tulips"])[0]
    alone = reach(make_edit(recipe_of(text, regularization=0.1), encode).context_map, kept)
    beside = reach(make_edit(recipe_of(f"{text}\n= a pack of tulips", regularization=0.1), encode).context_map, kept)
    assert beside < 0.5 * alone


def same_map(one, other):
    return torch.equal(one.left, other.left) and torch.equal(one.right, other.right)


def test_pairs_of_strength_0_are_left_out(encode):
    with_off = make_edit(recipe_of("a cat -> a dog @ 0\nroses -> tulips"), encode)
    without = make_edit(recipe_of("roses -> tulips"), encode)
    assert same_map(with_off.context_map, without.context_map)
    assert with_off.encoder.prompt == "roses"
    assert with_off.recipe.pairs[0].strength == 0
    assert encode.calls == [["roses", "tulips"]] * 2


def test_recipe_that_is_switched_off_is_refused_before_anything_is_encoded(encode):
    with pytest.raises(EditError, match="strength 0"):
        make_edit(recipe_of("a cat -> a dog @ 0"), encode)
    assert encode.calls == []


def test_order_of_lines_does_not_matter_in_the_last_bit(encode):
    lines = ["roses -> tulips", "a cat -> a dog @ 0.5", "= a house", "a doctor -> a female doctor * 2"]
    one, other = (make_edit(recipe_of("\n".join(order)), encode) for order in (lines, lines[::-1]))
    assert same_map(one.context_map, other.context_map)


def test_merged_recipes_are_solved_together_and_do_not_compound(encode):
    recipe = recipe_of("roses -> tulips")
    once, twice = make_edit(recipe, encode), make_edit(recipe.merge(recipe), encode)
    assert same_map(once.context_map, twice.context_map)


def test_weight_decides_between_conflicting_pairs(encode):
    edit = make_edit(recipe_of("a doctor -> a female doctor\na doctor -> a male doctor * 3"), encode)
    source, female, male = encode(["a doctor", "a female doctor", "a male doctor"])
    target = 0.25 * female.embeddings[align(source, female)] + 0.75 * male.embeddings[align(source, male)]
    assert relative(edit.context_map.apply(source.embeddings), target) < 0.01


def test_edit_reports_its_tokens_and_its_encoder(encode):
    edit = make_edit(recipe_of("a rose -> a red rose\n= a house"), encode, tolerance=EXACT)
    before, after, kept = encode(["a rose", "a red rose", "a house"])
    changed = (before.embeddings != after.embeddings[align(before, after)]).any(dim=1)
    tokens = torch.cat([before.embeddings, kept.embeddings])
    assert edit.tokens == len({tuple(row.tolist()) for row in tokens})
    assert edit.tokens < len(tokens)
    assert edit.edited == edit.context_map.rank == int(changed.sum())
    assert edit.encoder.prompt == "a rose"
    assert torch.equal(edit.encoder.embeddings, before.embeddings[:16])
    assert edit.check_encoder(encode) == ""


def test_edit_is_refused_by_another_encoder(encode):
    edit = make_edit(recipe_of("a rose -> a red rose"), encode)
    with pytest.raises(EditError, match="another text encoder"):
        edit.check_encoder(clip_helpers.ClipEncoder(clip_helpers.clip_text_model(WIDTH, seed=4)))


def test_scaled_regularization_does_not_depend_on_the_size_of_embeddings(text_model, encode):
    class Louder(clip_helpers.ClipEncoder):
        def __call__(self, prompts):
            return [replace(prompt, embeddings=4 * prompt.embeddings) for prompt in super().__call__(prompts)]

    recipe = recipe_of("roses -> tulips", regularization=10.0)
    quiet = make_edit(recipe, encode).context_map.change()
    assert relative(make_edit(recipe, Louder(text_model)).context_map.change(), quiet) < 1e-5
    assert relative(make_edit(recipe, Louder(text_model), scaled=False).context_map.change(), quiet) > 0.1


def example_prompt(words):
    embeddings = torch.randn(6, 16, generator=torch.Generator().manual_seed(1))
    return EncodedPrompt(("x",) * 6, (Chunk(0, words, 6),), embeddings)


def example_map(size=1.0):
    generator = torch.Generator().manual_seed(0)
    return ContextMap(size * torch.randn(16, 3, generator=generator), torch.randn(3, 16, generator=generator))


def test_padding_of_zeros_takes_no_part():
    """Some hosts fill the padding with zeros, which every map leaves at zero."""
    recipe = parse_recipe("roses -> tulips", augmentations=(), regularizer="identity")

    def encode_with(padding):
        def encode(prompts):
            rows = {"roses": random_rows(1), "tulips": random_rows(2)}
            return [
                EncodedPrompt(
                    ("x",) * (6 + padding),
                    (Chunk(0, range(6), 6 + padding),),
                    torch.cat([rows[prompt], torch.zeros(padding, 16)]),
                )
                for prompt in prompts
            ]

        return encode

    wanted, found = (make_edit(recipe, encode_with(padding)) for padding in (0, 250))
    assert relative(found.context_map.change(), wanted.context_map.change()) < 1e-5
    assert (found.edited, found.residual) == (6, pytest.approx(wanted.residual))


def random_rows(seed):
    return torch.randn(6, 16, generator=torch.Generator().manual_seed(seed))


def test_reach_is_the_relative_change_of_the_words():
    prompt, context_map = example_prompt(range(1, 3)), example_map(0.1)
    moved = context_map.apply(prompt.embeddings) - prompt.embeddings
    assert reach(context_map, prompt) == pytest.approx(float(moved[1:3].norm() / prompt.embeddings[1:3].norm()), rel=1e-5)
    torch.testing.assert_close(token_reach(context_map, prompt), moved.norm(dim=1) / prompt.embeddings.norm(dim=1))


def test_reach_in_units_of_its_own_for_each_coordinate():
    prompt, context_map = example_prompt(range(1, 3)), example_map(0.1)
    unit = torch.linspace(0.5, 40, 16, dtype=torch.float64)
    rows = prompt.embeddings
    moved, rows = (context_map.apply(rows) - rows) / unit.float(), rows / unit.float()
    assert reach(context_map, prompt, unit) == pytest.approx(float(moved[1:3].norm() / rows[1:3].norm()), rel=1e-5)
    found = token_reach(context_map, prompt, unit)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, moved.norm(dim=1) / rows.norm(dim=1))


def test_ordinary_reach_leaves_out_what_no_token_uses():
    moment, context_map = torch.eye(16), example_map(0.1)
    moved = context_map.change().square().sum(1)
    assert ordinary_reach(context_map, moment) == pytest.approx(float(moved.mean().sqrt()), rel=1e-5)
    moment[3, 3] = 0
    moved = context_map.change()[:, torch.arange(16) != 3].square().sum(1)[torch.arange(16) != 3]
    assert ordinary_reach(context_map, moment) == pytest.approx(float(moved.mean().sqrt()), rel=1e-5)


def test_reach_of_a_prompt_without_words_is_that_of_all_its_tokens():
    prompt, context_map = example_prompt(range(1, 1)), example_map(0.1)
    moved = context_map.apply(prompt.embeddings) - prompt.embeddings
    assert reach(context_map, prompt) == pytest.approx(float(moved.norm() / prompt.embeddings.norm()), rel=1e-5)


def test_reach_of_the_identity_is_zero():
    prompt = example_prompt(range(1, 3))
    assert reach(ContextMap.identity(16), prompt) == 0
    assert token_reach(ContextMap.identity(16), prompt).tolist() == [0] * 6


def projection(number, kind):
    name = f"{kind} {number}"
    return Projection(key=name, module=name, diffusers_module=name, kind=kind, part="down", block="down_blocks.0")


PROJECTIONS = [projection(0, "keys"), projection(0, "values"), projection(1, "values")]


def example_weights(dtype=torch.float32):
    generator = torch.Generator().manual_seed(5)
    return {p.key: torch.randn(8 + 4 * n, 16, generator=generator).to(dtype) for n, p in enumerate(PROJECTIONS)}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float8_e4m3fn])
def test_relative_change_is_that_of_all_edited_weights(dtype):
    context_map, weights = example_map(), example_weights(dtype)
    dense = context_map.dense().double()

    def direct(*names):
        before = torch.cat([weights[name].double() for name in names])
        return float((before @ dense - before).norm() / before.norm())

    change = relative_change(context_map, PROJECTIONS, weights)
    assert change == {
        "keys": pytest.approx(direct("keys 0"), rel=1e-5),
        "values": pytest.approx(direct("values 0", "values 1"), rel=1e-5),
    }
    assert relative_change(context_map, PROJECTIONS[1:], weights).keys() == {"values"}
    assert relative_change(ContextMap.identity(16), PROJECTIONS, weights) == {"keys": 0.0, "values": 0.0}
    small = {name: 1e-3 * weight.float() for name, weight in weights.items()}
    assert relative_change(context_map, PROJECTIONS, small) == pytest.approx(change, rel=1e-5)


def test_an_edit_restated_at_another_strength(edit):
    assert edit.restated(1) is edit
    half = edit.restated(0.5)
    assert half.recipe == edit.recipe.scale(0.5) != edit.recipe
    assert torch.equal(half.context_map.dense(), edit.context_map.scale(0.5).dense())
    with pytest.raises(EditError, match="strength"):
        edit.restated(3)


def test_an_edit_chooses_the_projections_of_its_recipe(edit):
    pooled, upper = (
        replace(projection(2, "values"), kind=POOLED),
        replace(projection(3, "keys"), part="up", block="up_blocks.0"),
    )
    every = [*PROJECTIONS, pooled, upper]
    for settings, chosen in (
        ("", [*PROJECTIONS, upper]), ("! projections: values", PROJECTIONS[1:]), ("! blocks: up", [upper]),
        ("! pooled: yes", every),
    ):  # fmt: skip
        own = replace(edit, recipe=recipe_of(f"{settings}\na rose -> a red rose"))
        assert sorted(own.chosen(every), key=every.index) == chosen
    with pytest.raises(EditError) as caught:
        own.chosen(PROJECTIONS)
    assert str(caught.value) == "This model reads no pooled embedding that could be edited; switch “pooled” off."


def test_change_of_pooled_inputs_is_by_their_own_map(edit):
    """And left out where the edit has none."""
    pooled = replace(projection(2, "values"), kind=POOLED)
    width = edit.context_map.width
    weights = {p.key: torch.randn(8, width, generator=torch.Generator().manual_seed(6)) for p in [*PROJECTIONS, pooled]}
    tokens = relative_change(edit.context_map, PROJECTIONS, weights)
    assert edit_change(edit, [pooled, *PROJECTIONS], weights) == tokens
    other = replace(edit, pooled_map=edit.context_map.scale(0.5))
    found = edit_change(other, [*PROJECTIONS, pooled], weights)
    assert found == {**tokens, **relative_change(other.pooled_map, [pooled], weights)} and set(found) == {*tokens, POOLED}


@pytest.fixture(scope="module")
def edit(text_model):
    return make_edit(recipe_of("a rose -> a red rose\n= a house", regularization=0.1), clip_helpers.ClipEncoder(text_model))


def test_report_in_full(edit):
    edit = replace(edit, residual=0.0123, edited=74)
    change = {"values": 0.1234, "keys": 0.056}
    assert report.describe(edit, PROJECTIONS, change, ["solved in 0.1 s"]).splitlines() == [
        "a rose → a red rose",
        f"3 projections patched (1 keys, 2 values), rank {edit.context_map.rank}",
        "keys changed by 5.6 %, values changed by 12 %",
        "left undone on 74 edited tokens: 1.2 %",
        "solved in 0.1 s",
    ]
    undone = replace(edit, residual=0.61, recipe=recipe_of("a rose -> a red rose @ 0.5"))
    assert report.describe(undone, [], {}).splitlines() == [
        "a rose → a red rose @ 0.5",
        "Warning: 61 % of the edit is left undone; lower the regularization or preserve fewer prompts.",
        f"rank {edit.context_map.rank}",
        "left undone on 74 edited tokens: 61 %",
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("Van Gogh ->", ["Van Gogh → (forgotten)"]),
        ("a -> b\nc -> d\ne -> f @ 0", ["a → b", "c → d", "solved together"]),
        ("a -> b\nc -> d\ne -> f", ["a → b", "c → d", "e → f", "solved together"]),
        ("a -> b\nc -> d\ne -> f\ng -> h\ni -> j", ["a → b", "c → d", "e → f", "and 2 more, solved together"]),
    ],
)
def test_report_names_the_first_edits(edit, text, lines):
    described = report.describe(replace(edit, recipe=parse_recipe(text)), PROJECTIONS[:1], {"keys": 0.1}).splitlines()
    assert described[: len(lines)] == lines
    assert described[len(lines)].startswith("1 projection patched (1 keys), rank")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a -> b\n= a\n= c", ["edited, so it is not preserved: “a”"]),
        ("a -> b\na -> c * 2\nd -> e", ["several destinations, so it comes out between them: “a”"]),
        (
            "a -> b\na -> c\n= a\n= A photo of a",
            [
                "several destinations, so it comes out between them: “a”",
                "edited, so it is not preserved: “A photo of a”, “a”",
            ],
        ),
        (
            "a -> b\nc -> d\ne -> f\ng -> h\n= a\n= c\n= e\n= g",
            ["edited, so it is not preserved: “a”, “c”, “e” and 1 more"],
        ),
        ("a -> b\n== a\n== c\n= d", ["preserved strictly, so it is not edited: “a”"]),
        (
            "a -> b\n== a photo of a\n= a",
            ["edited, so it is not preserved: “a”", "preserved strictly, so it is not edited: “a photo of a”"],
        ),
        ("a -> b\na -> c @ 0\na -> b * 2\n= c", []),
    ],
)
def test_report_says_what_was_asked_in_two_ways(edit, text, lines):
    described = report.describe(replace(edit, recipe=parse_recipe(text)), PROJECTIONS[:1], {"keys": 0.1}).splitlines()
    start = next(place for place, line in enumerate(described) if line.startswith("1 projection patched")) - len(lines)
    assert described[start:-3] == lines and sum("destinations" in line or "preserved" in line for line in described) == len(
        lines
    )


def test_an_edit_is_not_halved_by_preserving_its_source(text_model):
    encode, text = clip_helpers.ClipEncoder(text_model), "a rose -> a red rose\n= a house"
    alone, both = (make_edit(recipe_of(lines, regularization=0.1), encode) for lines in (text, f"{text}\n= a rose"))
    assert torch.equal(alone.context_map.dense(), both.context_map.dense())


@pytest.mark.parametrize(
    ("change", "warned"),
    [
        ({"keys": 0.5, "values": 0.1}, False),
        ({"keys": 0.1, "values": 0.51}, True),
        ({"keys": 0.9}, True),
        ({"values": 0.2}, False),
    ],
)
def test_report_warns_of_large_changes(edit, change, warned):
    lines = report.describe(edit, PROJECTIONS, change).splitlines()
    assert lines[0] == "a rose → a red rose"
    assert [line.startswith("Warning: a large change") for line in lines].count(True) == warned


@pytest.mark.parametrize(("ordinary", "warned"), [(0.08, False), (0.5, False), (0.51, True)])
def test_where_ordinary_captions_were_read_they_decide(edit, ordinary, warned):
    edit = replace(edit, ordinary_reach=ordinary)
    described = report.describe(edit, PROJECTIONS, {"keys": 0.9})
    assert ("Warning: a large change" in described) == warned
    assert f"keys changed by 90 %, ordinary captions by {100 * ordinary:.0f} %" in described
    assert "is not known, ordinary captions by" in report.describe(edit, PROJECTIONS, {})


def coordinate_wise(moved, tokens):
    return float((moved.square().sum(0) / tokens.square().sum(0)).mean().sqrt())


def test_how_far_ordinary_captions_move(text_model, encode):
    texts = ["a cat", "two red cars in a city"]
    edit = make_edit(recipe_of("a rose -> a red rose"), encode)
    tokens = torch.cat([prompt.embeddings[1:] for prompt in encode(texts)]).double()  # the start token is in every prompt
    moved = edit.context_map.to(dtype=torch.float64).apply(tokens) - tokens
    moment = second_moment(encode(texts))
    assert ordinary_reach(edit.context_map, moment) == pytest.approx(coordinate_wise(moved, tokens), rel=1e-4)
    assert edit.ordinary_reach is None  # "identity" reads none
    moment = read_captions(encode, texts).whole()
    edit = make_edit(recipe_of("a rose -> a red rose", regularizer="captions"), encode, moment=moment)
    assert edit.ordinary_reach == pytest.approx(ordinary_reach(edit.context_map, moment), rel=1e-6) and edit.ordinary_reach > 0
    half = edit.scale(-0.5)
    assert half.ordinary_reach == pytest.approx(ordinary_reach(half.context_map, moment), rel=1e-6)


@pytest.mark.parametrize("strength", [0.1, 2.0])
def test_warning_follows_from_the_weights(encode, strength):
    """Weights that read along what the edit moves: a weak edit passes, an exaggerated one is warned of."""
    edit = make_edit(Recipe((PromptPair("a red rose", "tulips", strength),), regularizer="identity"), encode)
    weights = {p.key: encode(["a red rose"])[0].embeddings[1:9] for p in PROJECTIONS}
    change = relative_change(edit.context_map, PROJECTIONS, weights)
    assert ("Warning" in report.describe(edit, PROJECTIONS, change)) == (strength == 2.0)


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0 %"), (0.1234, "12 %"), (0.00456, "0.46 %"), (0.994, "99 %"), (0.997, "100 %"), (1, "100 %"), (12.345, "1234 %")],
)
def test_percent(amount, text):
    assert report.percent(amount) == text


def test_long_texts_are_told_by_both_ends():
    text = "".join(chr(33 + place) for place in range(81))
    assert shortened(text[:80]) == text[:80] and shortened(text) == f"{text[:40]}…{text[-40:]}"
