"""Recipes as data, as text and as JSON."""

import json
from dataclasses import replace

import pytest
from edit_assumption.editing.assumptions.prompt_pair import DEFAULT_AUGMENTATIONS, PromptPair, augment, check_strength
from edit_assumption.editing.assumptions.recipe import (
    PROJECTION_CHOICES,
    REGULARIZERS,
    Recipe,
    parse_recipe,
    preserve_from_lines,
    recipe_from_json,
    recipe_from_lines,
)
from edit_assumption.editing.errors import EditError
from edit_assumption.editing.lines import tidy
from hypothesis import given, settings
from hypothesis import strategies as st
from line_texts import texts

HUGE = pytest.param(10**400, id="huge")
SETTINGS = "sets augmentations, regularizer, regularization, passes, projections, blocks, pooled, spread or negative"

prompts = texts.filter(tidy)
positive = st.floats(0, exclude_min=True, allow_infinity=False)
pairs = (
    st.tuples(
        prompts, texts, st.floats(-2, 2), positive, st.lists(texts, max_size=3).map(tuple) | st.just(DEFAULT_AUGMENTATIONS)
    )
    .filter(lambda entry: tidy(entry[0]) != tidy(entry[1]))
    .map(lambda entry: PromptPair(*entry))
)
blocks = prompts.map(lambda text: text.replace(",", "")).filter(tidy)
recipes = st.builds(
    Recipe,
    pairs=st.lists(pairs, min_size=1, max_size=4).map(tuple),
    preserve=st.lists(texts, max_size=3).map(tuple),
    regularization=positive,
    projections=st.sampled_from(PROJECTION_CHOICES),
    regularizer=st.sampled_from(REGULARIZERS),
    blocks=st.lists(blocks, max_size=3).map(tuple),
    strict=st.lists(texts, max_size=3).map(tuple),
    passes=st.integers(0, 10),
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(recipes)
def test_text_gives_the_recipe_back(recipe):
    assert parse_recipe(recipe.to_text()) == recipe


@settings(max_examples=200, deadline=None, derandomize=True)
@given(recipes)
def test_json_gives_the_recipe_back(recipe):
    text = recipe.to_json()
    assert recipe_from_json(text) == recipe
    assert json.loads(text)["pairs"][0]["source"] == recipe.pairs[0].source


MARKS = [
    "a -> b",
    "->",
    "--> x",
    "-",
    "\\",
    "\\\\",
    "a\\",
    "\\->",
    "\\\\#",
    "#1 fan",
    "= equal",
    "! now",
    "me@home",
    "2 * 3",
    "a | b",
    "none",
]


@pytest.mark.parametrize("prompt", MARKS)
def test_marks_inside_any_part_survive(prompt):
    recipe = Recipe(
        (PromptPair(prompt, "x"), PromptPair("y", prompt, 0.5, 3.0, (prompt,)), PromptPair("z", "", augmentations=())),
        preserve=(prompt,),
        blocks=(prompt,),
    )
    assert parse_recipe(recipe.to_text()) == recipe


def test_lines_of_every_kind():
    recipe = parse_recipe("""
        # roses first
        a pack of roses -> a pack of blue roses   # a comment
        a doctor -> a female doctor @ 0.5
        a doctor  ->  a male doctor * 2 @ -1
        Van Gogh ->

        = a pack of tulips   # keep them
        ! augmentations: Art of | {} on a wall
        a cat -> a dog
        ! augmentations: none
        a dog -> a cat
        ! regularization: 0.2
        ! projections: values
        ! regularizer: identity
        ! blocks: mid, up   # not down
    """)
    art = ("Art of", "{} on a wall")
    assert recipe == Recipe(
        pairs=(
            PromptPair("a pack of roses", "a pack of blue roses"),
            PromptPair("a doctor", "a female doctor", 0.5),
            PromptPair("a doctor", "a male doctor", -1.0, 2.0),
            PromptPair("Van Gogh", ""),
            PromptPair("a cat", "a dog", augmentations=art),
            PromptPair("a dog", "a cat", augmentations=()),
        ),
        preserve=("a pack of tulips",),
        regularization=0.2,
        projections="values",
        blocks=("mid", "up"),
        regularizer="identity",
    )


def test_plain_recipe_is_written_plainly():
    recipe = Recipe((PromptPair("a rose", "a blue rose", 0.5), PromptPair("Van Gogh", "")), preserve=("a tulip",))
    assert recipe.to_text() == "Van Gogh ->\na rose -> a blue rose @ 0.5\n= a tulip"


def test_backslash_takes_a_mark_as_text():
    recipe = parse_recipe(r"a \-> b \# c -> me\@home \* \\ \= \! \| C:\temp")
    assert recipe.pairs == (PromptPair("a -> b # c", r"me@home * \ = ! | C:\temp"),)


def test_weights_and_parentheses_of_prompts_are_left_alone():
    recipe = parse_recipe("a (rose:1.2) -> a (blue:0.5) rose: [x]")
    assert recipe.pairs == (PromptPair("a (rose:1.2)", "a (blue:0.5) rose: [x]"),)


def test_defaults_hold_where_the_text_says_nothing():
    defaults = {"augmentations": ("Art of",), "regularization": 0.5, "projections": "keys", "preserve": ("a cat",)}
    recipe = parse_recipe("a rose -> a tulip\n= a dog", **defaults)
    assert recipe == Recipe((PromptPair("a rose", "a tulip", augmentations=("Art of",)),), ("a cat", "a dog"), 0.5, "keys")
    assert parse_recipe("! regularization: 2\n! projections: values\na rose -> a tulip", **defaults).regularization == 2
    assert parse_recipe("! passes: 2\na rose -> a tulip\n! passes: 2", **defaults).passes == 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a rose", "there is no “->”"),
        (r"a \-> b", "there is no “->”"),
        ("a # -> b", "there is no “->”"),
        ("a -> b -> c", "there are two “->”"),
        ("a @ 0.5 -> b", "“@” stands before “->”"),
        ("a * 2 -> b", "“*” stands before “->”"),
        ("a -> b @ half", "“@ half” is not understood"),
        ("a -> b @", "“@” is not understood"),
        ("a -> b @ nan", "“@ nan” is not understood"),
        ("a -> b * inf", "“* inf” is not understood"),
        ("a -> b @ 1 @ 1", "“@ 1” is not understood"),
        ("a -> b @ 2.5", "The strength is 2.5; give a number between -2 and 2"),
        ("a -> b @ 1e999", "The strength is inf"),
        ("a -> b * 0", "The weight is 0; give a number greater than 0"),
        ("a -> b * -1", "The weight is -1"),
        ("-> b", "The source is empty"),
        ("a ->  a", "both “a”"),
        ("=", "there is no prompt to preserve"),
        ("= # nothing", "there is no prompt to preserve"),
        (
            "! colour: red",
            "sets augmentations, regularizer, regularization, passes, projections, blocks, pooled, spread or negative",
        ),
        (
            "! blocks mid",
            "sets augmentations, regularizer, regularization, passes, projections, blocks, pooled, spread or negative",
        ),
        ("! regularization: 0", "The regularization is 0; give a number greater than 0"),
        ("! regularization: much", "The regularization is 'much'; give a number"),
    ],
)
def test_bad_line_is_reported_with_number_and_reason(line, reason):
    with pytest.raises(EditError) as caught:
        parse_recipe(f"a cat -> a dog\n\n{line}\n= a house")
    message = str(caught.value)
    assert message.startswith("Line 3: ")
    assert reason in message
    assert message.count("\n") == 0


def test_every_bad_line_is_reported():
    with pytest.raises(EditError) as caught:
        parse_recipe("a rose\na cat -> a dog\n=\n! x: 1")
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == ["Line 1", "Line 3", "Line 4"]


def test_unknown_projections_are_refused():
    with pytest.raises(EditError, match="“queries” are not known; choose one of “keys and values”, “values”, “keys”"):
        parse_recipe("! projections: queries\na cat -> a dog")


def test_two_values_for_one_setting_are_refused():
    with pytest.raises(EditError, match="Line 3: “regularization” is set to something else in a line before; leave one"):
        parse_recipe("! regularization: 1\na cat -> a dog\n! regularization: 2")


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment", "= a cat", "! regularization: 1"])
def test_text_without_an_edit_is_refused(text):
    with pytest.raises(EditError, match="no edit"):
        parse_recipe(text)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(recipe=recipes, data=st.data())
def test_order_and_repetition_do_not_matter(recipe, data):
    shuffled = data.draw(st.permutations(recipe.pairs * 2))
    again = replace(recipe, pairs=tuple(shuffled), preserve=recipe.preserve[::-1] * 2, blocks=recipe.blocks[::-1] * 2)
    assert again == recipe
    assert again.prompts() == recipe.prompts()
    assert again.to_text() == recipe.to_text()


def test_lines_in_another_order_are_the_same_recipe():
    lines = ["a cat -> a dog", "= a house", "a rose -> a tulip @ 0.5", "= a tree", "a cat -> a dog"]
    assert parse_recipe("\n".join(lines)) == parse_recipe("\n".join(reversed(lines)))


def test_white_space_does_not_matter():
    assert PromptPair("  a\trose\n", " a \xa0 blue  rose") == PromptPair("a rose", "a blue rose")
    assert Recipe((PromptPair("a", "b"),), preserve=(" c  d", "", " ")).preserve == ("c d",)


def test_lines_of_two_boxes():
    recipe = recipe_from_lines("a rose\na doctor\n", "a blue rose\na female doctor", 0.5, ["Art of"], preserve=("a cat",))
    pairs = (("a rose", "a blue rose"), ("a doctor", "a female doctor"))
    assert recipe == Recipe(tuple(PromptPair(*pair, 0.5, augmentations=("Art of",)) for pair in pairs), ("a cat",))


def test_empty_destination_box_forgets_every_source():
    assert recipe_from_lines("Van Gogh\na rose", " \n").pairs == (PromptPair("Van Gogh", ""), PromptPair("a rose", ""))


def test_empty_line_between_destinations_forgets_that_source():
    assert recipe_from_lines("a\nb\nc", "x\n\nz").pairs == (PromptPair("a", "x"), PromptPair("b", ""), PromptPair("c", "z"))


@pytest.mark.parametrize(
    ("sources", "destinations", "pairs"),
    [
        ("a\nb", "x\n", {"a": "x", "b": ""}),
        ("a\nb\n", "x\n", {"a": "x", "b": ""}),
        ("a\nb\n\n", "x\n\n\n\n", {"a": "x", "b": ""}),
        ("a\nb", "\ny", {"a": "", "b": "y"}),
        ("a\nb\n", "\ny\n", {"a": "", "b": "y"}),
        ("a\nb\nc", "\ny\n", {"a": "", "b": "y", "c": ""}),
        ("a\nb\nc", "x\n\n", {"a": "x", "b": "", "c": ""}),
        ("a\n", "x\n\n", {"a": "x"}),
        ("\na", "x", {"a": "x"}),
        ("a\nb", "\nx\ny", {"a": "x", "b": "y"}),
        ("\na\n", "\nx\n", {"a": "x"}),
    ],
)
def test_lines_pair_by_position(sources, destinations, pairs):
    found = recipe_from_lines(sources, destinations).pairs
    assert {pair.source: pair.destination for pair in found} == pairs


@pytest.mark.parametrize(
    ("sources", "destinations", "reason"),
    [
        ("a\nb", "x", "2 line(s) and the destination has 1"),
        ("a", "x\ny", "1 line(s) and the destination has 2"),
        ("", "x", "The source is empty"),
        ("a\n\nb", "x\ny\nz", "The source is empty"),
        ("", "", "no edit"),
        ("a", "a", "nothing would change"),
        ("a\nb\nc", "x\n", "3 line(s) and the destination has 2"),
        ("a -> b", "x", "Line 1 of the source: “->” belongs to an edit"),
        ("a", "x @ 0.5", "Line 1 of the destination: “@ 0.5” is a strength"),
    ],
)
def test_boxes_that_do_not_pair_up_are_refused(sources, destinations, reason):
    with pytest.raises(EditError) as caught:
        recipe_from_lines(sources, destinations)
    assert reason in str(caught.value)


def test_prompts_given_beside_the_lines_are_kept_with_theirs():
    recipe = parse_recipe("a cat -> a dog\n= a house\n== a bus", preserve=("a tree",), strict=("a car",))
    assert (recipe.preserve, recipe.strict) == (("a house", "a tree"), ("a bus", "a car"))


def test_numbers_as_text_are_numbers():
    recipe = Recipe((PromptPair("a cat", "a dog", "0.5", "2"),), regularization="0.2", passes="3")
    assert recipe == Recipe((PromptPair("a cat", "a dog", 0.5, 2.0),), regularization=0.2, passes=3)
    assert [type(number) for number in (recipe.pairs[0].weight, recipe.regularization, recipe.passes)] == [float, float, int]


def test_pooled_is_yes_or_no():
    assert parse_recipe("a cat -> a dog\n! pooled: yes").pooled is True
    assert parse_recipe("a cat -> a dog\n! pooled: no", pooled=True).pooled is False


def test_merge_joins_pairs_and_preserved_prompts():
    one = parse_recipe("a cat -> a dog\n= a house\n== a car", regularization=0.3)
    other = parse_recipe("a rose -> a tulip\na cat -> a dog\n= a tree\n== a bus", regularization=0.3)
    merged = one.merge(other)
    joint = "a cat -> a dog\na rose -> a tulip\n= a house\n= a tree\n== a bus\n== a car"
    assert merged == parse_recipe(joint, regularization=0.3)
    assert merged == other.merge(one)


@pytest.mark.parametrize(
    "setting", ["! regularizer: identity", "! regularization: 0.2", "! projections: keys", "! blocks: mid"]
)
def test_merge_of_other_settings_is_refused(setting):
    one, other = parse_recipe("a cat -> a dog"), parse_recipe(f"a rose -> a tulip\n{setting}")
    assert not one.shares_settings(other)
    with pytest.raises(EditError, match="cannot be merged"):
        one.merge(other)


@pytest.mark.parametrize("strength", [-2, -0.5, 0, 2.0, "1.5", True])
def test_strengths_within_the_limits(strength):
    assert PromptPair("a", "b", strength).strength == float(strength) == check_strength(strength)


@pytest.mark.parametrize("strength", [2.0001, -3, float("nan"), float("inf"), -float("inf"), "half", None, HUGE])
def test_strengths_outside_the_limits_are_refused(strength):
    for refusing in (check_strength, lambda value: PromptPair("a", "b", value)):
        with pytest.raises(EditError, match="The strength is"):
            refusing(strength)


@pytest.mark.parametrize("number", [0, -1, float("nan"), float("inf"), "much", None, HUGE])
def test_weight_and_regularization_must_be_positive_and_finite(number):
    with pytest.raises(EditError, match="The weight is"):
        PromptPair("a", "b", weight=number)
    with pytest.raises(EditError, match="The regularization is"):
        Recipe((PromptPair("a", "b"),), regularization=number)


def json_of(pair=None, **entries):
    pair = {"source": "a", "destination": "b", **(pair or {})}
    return json.dumps({"pairs": [pair], **entries})


def test_entries_left_out_of_json_take_their_defaults():
    assert recipe_from_json(json_of()) == Recipe((PromptPair("a", "b"),))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (json_of(colour="red"), "unknown entry “colour”"),
        (json_of({"colour": "red"}), "unknown entry “colour”"),
        (json_of({"strength": float("nan")}), "The strength is nan"),
        (json_of({"strength": 3}), "The strength is 3"),
        (json_of({"weight": 10**400}), "The weight is"),
        (json_of(regularization=-1), "The regularization is -1"),
        (json_of(regularization=None), "The regularization is None"),
        (json_of(projections="queries"), "“queries” are not known"),
        (json_of(projections=["keys"]), "are not known"),
        (json_of(preserve="a cat"), "“preserve” must be a list of texts"),
        (json_of(blocks=[1]), "“blocks” must be a list of texts"),
        (json_of({"augmentations": None}), "“augmentations” must be a list of texts"),
        (json_of({"source": 3}), "not a recipe in JSON"),
        (json_of({"source": ["a"]}), "not a recipe in JSON"),
        (json_of({"source": " "}), "The source is empty"),
        ('{"pairs": []}', "no edit"),
        ('{"pairs": null}', "not a recipe in JSON"),
        ('{"pairs": ["a"]}', "unknown entry “a”"),
        ('{"pairs": [{"source": "a"}]}', "not a recipe in JSON"),
        ("{}", "not a recipe in JSON"),
        ("[]", "not a recipe in JSON"),
        ("null", "not a recipe in JSON"),
        ("3", "not a recipe in JSON"),
        ("", "not a recipe in JSON"),
        ('{"pairs": [', "not a recipe in JSON"),
        ("[" * 100_000, "not a recipe in JSON"),
    ],
)
def test_other_json_is_refused(text, reason):
    with pytest.raises(EditError) as caught:
        recipe_from_json(text)
    assert reason in str(caught.value)


def test_augmentations_follow_the_paper():
    assert augment("A photo of", "A pack of roses") == "A photo of a pack of roses"
    assert augment("A photo of", "roses") == "A photo of roses"
    assert augment("{} on a table", "A rose") == "a rose on a table"
    assert augment("A photo of ", " x") == "A photo of x"


def test_sentences_repeat_the_pair_in_every_augmentation():
    assert PromptPair("A rose", "A blue rose", augmentations=("Art of", " ")).sentences() == [
        ("A rose", "A blue rose"),
        ("Art of a rose", "Art of a blue rose"),
    ]


def test_prompts_lists_each_text_once_and_none_of_switched_off_pairs():
    recipe = parse_recipe("! augmentations: Art of\na cat -> a dog\na dog -> a fox\na rose -> a tulip @ 0\n= a dog\n= a tree")
    assert [pair.source for pair in recipe.active] == ["a cat", "a dog"]
    assert recipe.prompts() == ["a cat", "a dog", "Art of a cat", "Art of a dog", "a fox", "Art of a fox", "a tree"]


def test_prompts_to_keep_from_a_text_box():
    kept = preserve_from_lines("a tulip\n\n= a poppy\n== a  daisy\n==a rose\n")
    recipe = Recipe((PromptPair("a cat", "a dog"),), **kept)
    assert (recipe.preserve, recipe.strict) == (("a poppy", "a tulip"), ("a daisy", "a rose"))


def test_strictly_preserved_prompt_is_not_listed_twice():
    recipe = parse_recipe("a cat -> a dog\n= a tulip\n== a tulip")
    assert (recipe.preserve, recipe.strict) == ((), ("a tulip",))
    assert recipe.prompts()[-1] == "a tulip"


@pytest.mark.parametrize("line", ["= a rose", "= A rose", "= a photo of a rose"])
def test_what_is_edited_is_not_preserved(line):
    recipe = parse_recipe(f"a rose -> a tulip\n{line}\n= a daisy\n= roses")
    assert recipe.kept == ("a daisy", "roses") and len(recipe.preserve) == 3
    assert recipe.prompts() == parse_recipe("a rose -> a tulip\n= a daisy\n= roses").prompts()
    assert recipe.scale(0).kept == recipe.preserve
    assert parse_recipe(recipe.to_text()) == recipe == recipe_from_json(recipe.to_json())


def test_a_list_may_name_what_another_edit_is_about():
    rose, car = parse_recipe("a rose -> a tulip\n= a car\n= a bus"), parse_recipe("a car -> a boat\n= a rose\n= a dog")
    assert (rose.kept, car.kept) == (("a bus", "a car"), ("a dog", "a rose"))
    assert rose.merge(car).kept == car.merge(rose).kept == ("a bus", "a dog")
