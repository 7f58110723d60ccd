"""What a user is told, to the letter: recipes, lines, concepts, and what stands in a text box or a file."""

import pytest
from edit_assumption.editing.assumptions.prompt_pair import PromptPair
from edit_assumption.editing.assumptions.recipe import (
    Recipe,
    augmentations_from_lines,
    parse_recipe,
    preserve_from_lines,
    recipe_from_json,
    recipe_from_lines,
)
from edit_assumption.editing.concepts.concept_lines import Concept, parse_concepts
from edit_assumption.editing.concepts.concept_recipe import (
    ConceptRecipe,
    concept_recipe_from_json,
    layers_from_text,
    parse_concept_recipe,
)
from edit_assumption.editing.concepts.subjects import last_token, token_spans
from edit_assumption.editing.errors import EditError
from edit_assumption.editing.lines import escape, kind_of, prompt_lines, read_lines, split, text_of

ROSE, CAT = PromptPair("a rose", "a tulip"), Concept("cat", "dog")
NUMBER_BELOW = "give a number greater than 0."
SENTENCES = [
    (lambda: PromptPair("a", "b", strength=3), "The strength is 3; give a number between -2 and 2."),
    (lambda: PromptPair("a", "b", strength=-2.5), "The strength is -2.5; give a number between -2 and 2."),
    (lambda: PromptPair("a", "b", strength="x"), "The strength is 'x'; give a number."),
    (lambda: PromptPair("a", "b", weight=0), "The weight is 0; give a number greater than 0 and finite."),
    (lambda: PromptPair("a", "b", weight=float("inf")), "The weight is inf; give a number greater than 0 and finite."),
    (lambda: PromptPair(" ", "b"), "The source is empty; write the prompt whose assumption you want to change."),
    (lambda: PromptPair("a", " a "), "The source and the destination are both “a”, so nothing would change; say in the "
     "destination what the source should mean."),
    (lambda: Recipe((ROSE,), regularization=0), "The regularization is 0; give a number greater than 0 and finite."),
    (lambda: Recipe((ROSE,), passes=11), "The number of passes is 11; give a number between 0 and 10."),
    (lambda: Recipe((ROSE,), passes=0.5), "The number of passes is 0.5; give a whole number."),
    (lambda: Recipe((ROSE,), pooled=1), "The recipe's entry “pooled” is 1; give true or false."),
    (lambda: Recipe((ROSE,), projections="x"),
     "The projections “x” are not known; choose one of “keys and values”, “values”, “keys”."),
    (lambda: Recipe((ROSE,), regularizer="x"), "The regularizer “x” is not known; choose one of “captions”, “identity”."),
    (lambda: Recipe(()), "The recipe has no edit; add a line such as: a pack of roses -> a pack of blue roses"),
    (lambda: Recipe((ROSE,)).merge(Recipe((ROSE,), passes=1)),
     "Recipes with different regularization or projections cannot be merged; apply them in turn."),
    (lambda: recipe_from_json("{}"), "This is not a recipe in JSON ('pairs'); export it again."),
    (lambda: recipe_from_json('{"pairs": [], "b": 1, "a": 1}'),
     "The recipe has the unknown entry “a”; it was made by another version."),
    (lambda: recipe_from_json('{"pairs": [], "blocks": [1]}'), "The recipe's entry “blocks” must be a list of texts."),
    (lambda: recipe_from_json('{"pairs": [], "blocks": "mid"}'), "The recipe's entry “blocks” must be a list of texts."),
    (lambda: recipe_from_json('{"pairs": [], "strict": "mid"}'), "The recipe's entry “strict” must be a list of texts."),
    (lambda: recipe_from_json('{"pairs": [], "preserve": "mid"}'), "The recipe's entry “preserve” must be a list of texts."),
    (lambda: recipe_from_json('{"pairs": [{"source": "a", "destination": "b", "augmentations": "x"}]}'),
     "The recipe's entry “augmentations” must be a list of texts."),
    (lambda: parse_recipe("a"), "Line 1: there is no “->” between a source and a destination."),
    (lambda: parse_recipe("a -> b -> c"), "Line 1: there are two “->”; write \\-> for an arrow that belongs to a prompt."),
    (lambda: parse_recipe("a @ 2 -> b"), "Line 1: “@” stands before “->”; write \\@ if it belongs to the source."),
    (lambda: parse_recipe("a -> b * x"), "Line 1: “* x” is not understood; write “@ 0.5” for a strength, “* 2” for a weight, "
     "or \\* if it belongs to the destination."),
    (lambda: parse_recipe("a -> b @ 1 @ 1"), "Line 1: “@ 1” is not understood; write “@ 0.5” for a strength, “* 2” for a "
     "weight, or \\@ if it belongs to the destination."),
    (lambda: parse_recipe("= a -> b"),
     "Line 1: “=” preserves a prompt and “->” edits one; write \\= or \\-> for what belongs to the text."),
    (lambda: parse_recipe("=="), "Line 1: there is no prompt to preserve after “==”."),
    (lambda: parse_recipe("! x: 1"), "Line 1: a line with “!” sets augmentations, regularizer, regularization, passes, "
     "projections, blocks, pooled, spread or negative, such as: ! blocks: mid."),
    (lambda: parse_recipe("! passes: 0.5"), "Line 1: The number of passes is 0.5; give a whole number."),
    (lambda: parse_recipe("! pooled: maybe"), "Line 1: pooled is “maybe”; write yes or no."),
    (lambda: parse_recipe("! regularization: 0"), "Line 1: The regularization is 0; give a number greater than 0 and finite."),
    (lambda: preserve_from_lines("a -> b"),
     "Line 1 of preserve: “->” belongs to an edit, which has no place here; write \\-> if it belongs to the text."),
    (lambda: preserve_from_lines("== a -> b"),
     "Line 1 of preserve: “==” preserves a prompt and “->” edits one; write \\= or \\-> for what belongs to the text."),
    (lambda: augmentations_from_lines("! a"),
     "Line 1 of augmentations: “!” begins a setting, which has no place here; write \\! if it belongs to the text."),
    (lambda: augmentations_from_lines("a | b"),
     "Line 1 of augmentations: “|” parts a list, which has no place here; write \\| if it belongs to the text."),
    (lambda: recipe_from_lines("a\nb", "c"), "The source has 2 line(s) and the destination has 1; write one destination line "
     "for each source line, an empty one to forget it."),
    (lambda: recipe_from_lines("= a", "b"),
     "Line 1 of the source: “=” preserves a prompt, which has no place here; write \\= if it belongs to the text."),
    (lambda: recipe_from_lines("a", "== b"), "Line 1 of the destination: “==” preserves a prompt strictly, which has no place "
     "here; write \\= if it belongs to the text."),
    (lambda: text_of("a @ 2"), "“@ 2” is a strength, which has no place here; write \\@ if it belongs to the text"),
    (lambda: text_of("a * 2"), "“* 2” is a weight, which has no place here; write \\* if it belongs to the text"),
    (lambda: text_of("a | 2", "|"), "“|” parts a list, which has no place here; write \\| if it belongs to the text"),
    (lambda: split("a#b"), "“#” touches its neighbour; write \\# if it belongs to the text, or put spaces around it"),
    (lambda: split("a ➜ b"), "“➜” is nearly an arrow; write -> for one, or \\➜ if it belongs to the text"),
    (lambda: split("a - > b"), "“- >” is nearly an arrow; write -> for one, or \\- > if it belongs to the text"),
    (lambda: kind_of("=_= x"),
     "“=” in front preserves a prompt; write \\= if it belongs to the text, or put a space behind it"),
    (lambda: prompt_lines("a -> b\nb\n!c", "a box"),
     "Line 1 of a box: “->” belongs to an edit, which has no place here; write \\-> if it belongs to the text.\n"
     "Line 3 of a box: “!” begins a setting, which has no place here; write \\! if it belongs to the text."),
    (lambda: Concept(" ", "b"), "The concept is empty; write what is to change before the arrow, such as: tench -> goldfish"),
    (lambda: Concept("A", "a"), "“A” is to become itself, so nothing would change."),
    (lambda: parse_concepts("# a"), "There is no concept; add a line such as: tench -> goldfish"),
    (lambda: parse_concepts("a"), "Line 1: write one “->” between what is to change and what it becomes, or one “~” before an "
     "alias; \\-> and \\~ belong to a name."),
    (lambda: parse_concepts("~ a"), "Line 1: there is nothing before “~” that the alias could mean."),
    (lambda: parse_concepts("a -> b\na -> c"), "Line 2: “a” has another destination already."),
    (lambda: parse_concepts("= a"),
     "Line 1: “=” preserves a prompt, which has no place here; write \\= if it belongs to the text."),
    (lambda: ConceptRecipe(()), "There is no concept; add a line such as: tench -> goldfish"),
    (lambda: ConceptRecipe((CAT, Concept("Cat", "rose"))), "A concept stands there twice; leave one of its lines out."),
    (lambda: ConceptRecipe((CAT,), 0), f"The regularization is 0; {NUMBER_BELOW}"),
    (lambda: ConceptRecipe((CAT,), float("inf")), f"The regularization is inf; {NUMBER_BELOW}"),
    (lambda: ConceptRecipe((CAT,), "1"), f"The regularization is '1'; {NUMBER_BELOW}"),
    (lambda: ConceptRecipe((CAT,), templates=("a {}", "a")),
     "Every template needs {} where the concept belongs, such as: a photo of {}"),
    (lambda: ConceptRecipe((CAT,), templates=()),
     "Every template needs {} where the concept belongs, such as: a photo of {}"),
    (lambda: ConceptRecipe((CAT,), mode="x"), "The mode “x” is not known; choose one of attention, text, full."),
    (lambda: parse_concept_recipe("! x: 1"),
     "Line 1: a line with “!” sets mode, regularization, templates or layers, such as: ! mode: full."),
    (lambda: parse_concept_recipe("! mode"),
     "Line 1: a line with “!” sets mode, regularization, templates or layers, such as: ! mode: full."),
    (lambda: parse_concept_recipe("! regularization: x"),
     "Line 1: the regularization is “x”; give a number greater than 0."),
    (lambda: layers_from_text("7, x"), "The layers “7, x” are not understood; write numbers such as: 7, 8, 9, 10"),
    (lambda: concept_recipe_from_json("{}"), "the list of concepts cannot be read ('concepts')"),
    (lambda: last_token("a cat", ["a</w>", "cat</w>"], "dog"), "“a cat” does not name “dog”; put {} where it belongs."),
    (lambda: last_token("a cat", ["a</w>"], "cat"), "“a cat” is cut before “cat”; write it shorter."),
    (lambda: token_spans("A cat", ["dog</w>"]),
     "The text encoder spells “a cat” in another way than it is written; write it in plain letters."),
]  # fmt: skip


@pytest.mark.parametrize(("ask", "sentence"), [pytest.param(ask, sentence, id=sentence[:40]) for ask, sentence in SENTENCES])
def test_sentence(ask, sentence):
    with pytest.raises(EditError) as caught:
        ask()
    assert str(caught.value) == sentence


def test_a_file_of_another_kind_is_told_by_its_first_lines():
    with pytest.raises(EditError) as caught:
        read_lines("!a\n" * 12, text_of)
    told = str(caught.value).split("\n")
    assert told[9].startswith("Line 10: ") and told[10:] == ["2 more lines are not understood either."]
    with pytest.raises(EditError) as caught:
        read_lines("!a\n" * 10, text_of)
    assert str(caught.value).count("\n") == 9 and "either" not in str(caught.value)


def test_a_plain_recipe_as_text_and_json():
    recipe = Recipe(
        (PromptPair("é", "b", 0.5, 2.0, ("x", "y")), PromptPair("f", "", augmentations=("none",)),
         PromptPair("g", "h", augmentations=())),
        ("p",), 0.2, "values", ("mid", "up"), "identity", ("s",), 3, True,
    )  # fmt: skip
    assert recipe.to_text() == (
        "! regularizer: identity\n! regularization: 0.2\n! passes: 3\n! projections: values\n! blocks: mid, up\n! pooled: yes\n"
        "! augmentations: none |\nf ->\n! augmentations: none\ng -> h\n! augmentations: x | y\né -> b @ 0.5 * 2.0\n= p\n== s"
    )
    assert "é" in recipe.to_json() and recipe_from_json("\ufeff" + recipe.to_json()) == recipe
    assert Recipe((PromptPair("a", "b"),)).to_text() == "a -> b"


def test_a_plain_recipe_of_concepts_as_text_and_json():
    recipe = ConceptRecipe((Concept("é", "b"), Concept("c", "")), 0.2, ("a {}", " ", "| {}"), (8, 7, 8), "full")
    assert recipe.to_text() == ("! mode: full\n! regularization: 0.2\n! templates: a {} | \\| {}\n! layers: 7, 8\né -> b\nc ->")
    assert recipe.to_json() == (
        '{"concepts": [{"source": "é", "destination": "b"}, {"source": "c", "destination": ""}], "regularization": 0.2, '
        '"templates": ["a {}", "| {}"], "layers": [7, 8], "mode": "full"}'
    )
    assert parse_concept_recipe(recipe.to_text()) == recipe == concept_recipe_from_json(recipe.to_json())
    assert ConceptRecipe((Concept("a", "b"),)).to_text() == "! mode: attention\na -> b"
    assert layers_from_text("9, 7 8,7") == (7, 8, 9) and layers_from_text("") == ()
    assert escape("a -> b # c") == "a \\-> b \\# c"
