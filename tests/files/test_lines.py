"""One grammar for every text box and list file: comments, marks, escapes, line ends, encodings."""

import codecs

import pytest
from edit_assumption.editing.assumptions.prompt_pair import PromptPair
from edit_assumption.editing.assumptions.recipe import (
    Recipe,
    augmentations_from_lines,
    parse_recipe,
    preserve_from_lines,
    recipe_from_lines,
)
from edit_assumption.editing.concepts.concept_lines import Concept, parse_concepts
from edit_assumption.editing.concepts.concept_recipe import TEMPLATES, ConceptRecipe, parse_concept_recipe
from edit_assumption.editing.errors import EditError
from edit_assumption.editing.lines import escape, has_arrow, phrase_lines, prompt_lines, read_lines, text_of, tidy
from edit_assumption.editing.shares import Wanted
from edit_assumption.editing.text_file import read_text
from hypothesis import given, settings
from hypothesis import strategies as st
from line_texts import texts

BOM = "\ufeff"
# Each place that takes lines, as a function from one text in it to what was understood.
PLACES = {
    "recipe, source": lambda text: parse_recipe(f"{text} -> x").pairs[0].source,
    "recipe, destination": lambda text: parse_recipe(f"x -> {text}").pairs[0].destination,
    "recipe, =": lambda text: parse_recipe(f"x -> y\n= {text}").preserve[0],
    "recipe, ==": lambda text: parse_recipe(f"x -> y\n== {text}").strict[0],
    "recipe, augmentations": lambda text: parse_recipe(f"! augmentations: {text} | z\nx -> y").pairs[0].augmentations[0],
    "concepts, source": lambda text: parse_concepts(f"{text} -> x")[0].source,
    "concepts, destination": lambda text: parse_concepts(f"x -> {text}")[0].destination,
    "concepts, alias": lambda text: parse_concepts(f"x ~ {text}")[0].source,
    "concepts, templates": lambda text: parse_concept_recipe(f"! templates: {text} {{}} | {{}}\nx -> y").templates[0][:-3],
    "preserve": lambda text: preserve_from_lines(text)["preserve"][0],
    "source box": lambda text: recipe_from_lines(text, "x").pairs[0].source,
    "destination box": lambda text: recipe_from_lines("x", text).pairs[0].destination,
    "augmentations": lambda text: augmentations_from_lines(text)[0],
    "templates": lambda text: phrase_lines(text)[0],
    "list": lambda text: prompt_lines(text)[0],
    "variants": lambda text: Wanted.parse("x", f"{text}: 50\ny: 50").variants[0],
}
everywhere = pytest.mark.parametrize("place", PLACES)


@everywhere
@pytest.mark.parametrize(
    "text",
    [
        "a -> b",
        "a => b",
        "a → b",
        "a --> b",
        "a - > b",
        "#1 fan",
        "C# code",
        "me @ 0.5",
        "=_=",
        "! now",
        "a | b",
        "a ~ b",
        "\\",
    ],
)
def test_an_escaped_mark_is_text_in_every_place(place, text):
    assert PLACES[place](escape(text)) == text


@everywhere
def test_escapes_by_hand_are_the_same_in_every_place(place):
    assert PLACES[place](r"\=_= \-> \=> \→ \--> \# \@ 1 \* 2 \| \~ \! \\ C:\temp \(x\)") == (
        r"=_= -> => → --> # @ 1 * 2 | ~ ! \ C:\temp \(x\)"
    )


@everywhere
@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a --> b", r"\-->"),
        ("a —> b", r"\—>"),
        ("a ->> b", r"\->>"),
        ("a ⇒ b", r"\⇒"),
        ("#0000ff rose", r"\#"),
        ("a #0000ff rose", r"\#"),
        ("a rose# red", r"\#"),
    ],
)
def test_what_looks_like_a_mark_is_refused_with_its_escape_in_every_place(place, text, hint):
    if text.startswith("#"):
        text = f"a {text}"
    with pytest.raises(EditError) as caught:
        PLACES[place](text)
    assert hint in str(caught.value) and str(caught.value).startswith("Line ")


plain_places = pytest.mark.parametrize("place", ["preserve", "source box", "destination box", "augmentations", "list"])


@plain_places
@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a -> b", r"“->” belongs to an edit, which has no place here; write \-> if"),
        ("a => b", r"write \=> if"),
        ("a - > b", r"“- >” is nearly an arrow; write -> for one, or \- > if"),
        ("! regularization: 1", r"“!” begins a setting, which has no place here; write \! if"),
        ("a rose @ 0.5", r"“@ 0.5” is a strength, which has no place here; write \@ if"),
        ("a rose * 2  # twice", r"“* 2” is a weight, which has no place here; write \* if"),
        ("=_=", r"\= if"),
    ],
)
def test_marks_of_other_lines_are_refused_where_prompts_are_listed(place, text, hint):
    with pytest.raises(EditError) as caught:
        PLACES[place](text)
    assert hint in str(caught.value)


@pytest.mark.parametrize("read", [parse_recipe, parse_concepts], ids=["recipe", "concepts"])
@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("=_=, 1girl -> x", r"\= if"),
        ("= 1girl -> x", r"\="),
        ("a - > b", "write -> for one"),
        ("a -> b -> c", r"\->"),
        ("a rose -> #0000ff rose", r"\#"),
        ("a -> b @ 0.5 --> c", r"\-->"),
    ],
)
def test_lines_that_are_nearly_an_edit_are_refused(read, line, hint):
    with pytest.raises(EditError, match="Line 2: ") as caught:
        read(f"a cat -> a dog\n{line}")
    assert hint in str(caught.value)


def test_a_preserved_prompt_is_named_as_such_where_its_line_has_an_arrow():
    with pytest.raises(EditError, match=r"“==” preserves a prompt and “->” edits one; write \\= or \\->"):
        parse_recipe("== a -> b")


@pytest.mark.parametrize("line", ["a -> b @ 0.5", "a -> b * 2", "= a", "== a", "! colour: red", "a ~ b ~ c", "a ~ b -> c"])
def test_what_concepts_do_not_have_is_refused(line):
    with pytest.raises(EditError, match="Line 1: "):
        parse_concept_recipe(line)


@pytest.mark.parametrize("arrow", ["->", "=>", "→"])
def test_arrows(arrow):
    assert parse_recipe(f"a rose {arrow} a blue rose @ 0.5").pairs == (PromptPair("a rose", "a blue rose", 0.5),)
    assert parse_recipe(f"Van Gogh{arrow}").pairs == (PromptPair("Van Gogh", ""),)
    assert parse_concepts(f"tench{arrow}goldfish\nVan Gogh {arrow}") == (Concept("tench", "goldfish"), Concept("Van Gogh", ""))
    with pytest.raises(EditError, match="The source is empty"):
        parse_recipe(f"{arrow} b")


def test_comments():
    text = "# all\n#all\n  # all\na rose # one\n\nC\\# code ## two\n#"
    assert prompt_lines(text) == ["a rose", "C# code"]
    assert preserve_from_lines(f"{text}\n== a tulip # strictly") == {"preserve": ("a rose", "C# code"), "strict": ("a tulip",)}
    assert recipe_from_lines(text, "a tulip\n# yours\n\na poppy").pairs == (
        PromptPair("C# code", "a poppy"),
        PromptPair("a rose", "a tulip"),
    )
    assert augmentations_from_lines("A photo of # one\n# two\nArt of") == ("A photo of", "Art of")
    assert augmentations_from_lines("none # not one") == ()
    assert parse_concepts("a \\# b -> c # d")[0] == Concept("a # b", "c")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\u2028", "\u2029", "\x85", "\v", "\f"])
def test_line_ends_are_the_same_everywhere(end):
    assert prompt_lines(f"a{end}{end}b{end}") == ["a", "b"]
    assert len(parse_recipe(f"a -> b{end}c -> d").pairs) == len(parse_concepts(f"a -> b{end}c -> d")) == 2
    assert recipe_from_lines(f"a{end}b", f"x{end}").pairs == (PromptPair("a", "x"), PromptPair("b", ""))
    with pytest.raises(EditError, match="Line 3: "):
        prompt_lines(f"a{end}{end}! b")


@everywhere
def test_a_byte_order_mark_in_front_is_left_out_in_every_place(place):
    assert PLACES[place](f"{BOM}a rose") == "a rose"


def test_a_byte_order_mark_hides_no_mark():
    assert preserve_from_lines(f"{BOM}== a rose\n{BOM}# two files in one") == {"preserve": (), "strict": ("a rose",)}
    assert parse_concepts(f"{BOM}a -> b") == (Concept("a", "b"),) and Concept(f"{BOM}a", "b").source == "a"


def test_what_parts_a_list_is_refused_in_a_box_of_lines():
    for read in (augmentations_from_lines, phrase_lines):
        with pytest.raises(EditError, match=r"“\|” parts a list, which has no place here; write \\\| if"):
            read("A photo of | An image of")


def test_what_is_nearly_an_arrow_is_text_beside_one():
    assert [pair.source for pair in parse_recipe("a - > b -> c").pairs] == ["a - > b"]


def test_a_setting_that_begins_with_a_sign_is_still_one():
    with pytest.raises(EditError, match="a line with “!” sets"):
        parse_recipe("!: x")


def test_the_box_is_named():
    with pytest.raises(EditError) as caught:
        preserve_from_lines("a\nb -> c\n! d")
    assert [line.split(":")[0] for line in str(caught.value).split("\n")] == ["Line 2 of preserve", "Line 3 of preserve"]
    with pytest.raises(EditError, match=r"^Line 1: "):
        phrase_lines("! a")


@pytest.mark.parametrize(
    ("text", "found"), [("a -> b", True), ("a→b", True), ("a --> b", True), ("a - > b", True), ("a-b", False)]
)
def test_an_arrow_is_found_or_nearly_one(text, found):
    assert has_arrow(text) == found


def test_a_file_of_another_kind_gives_a_few_sentences():
    with pytest.raises(EditError) as caught:
        prompt_lines("a -> b\n" * 1000, "“recipes.txt”")
    assert str(caught.value).count("\n") == 10 and str(caught.value).endswith("\n990 more lines are not understood either.")


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(texts.map(tidy).filter(bool), max_size=4))
def test_escaped_lines_are_read_back(prompts):
    text = "\n".join(map(escape, prompts))
    assert prompt_lines(text) == phrase_lines(text) == prompts
    assert read_lines(text + "\n", text_of, empty=True) == [*prompts, ""] if prompts else ["", ""]
    assert preserve_from_lines(text)["preserve"] == tuple(prompts)


@pytest.mark.parametrize(
    "data",
    [
        "a rosé\r\n薔薇".encode(),
        "a rosé\n薔薇".encode("utf-8-sig"),
        "a rosé\r\n薔薇".encode("utf-16"),
        codecs.BOM_UTF16_BE + "a rosé\r薔薇".encode("utf-16-be"),
    ],
    ids=["UTF-8", "UTF-8 with mark", "UTF-16", "UTF-16 BE"],
)
def test_encodings_of_files(tmp_path, data):
    (tmp_path / "list.txt").write_bytes(data)
    assert prompt_lines(read_text(tmp_path / "list.txt", "prompts")) == ["a rosé", "薔薇"]


@pytest.mark.parametrize(
    "data",
    ["a rosé".encode("cp1252"), "a rose".encode("utf-16-le"), "a rose".encode("utf-32"), b"\xff\xfea", b"PK\3\4\0\0\0\0"],
    ids=["cp1252", "UTF-16 without mark", "UTF-32", "half a character", "zip"],
)
def test_files_in_other_encodings_are_refused_by_name(tmp_path, data):
    (tmp_path / "list.txt").write_bytes(data)
    with pytest.raises(EditError, match=r"list\.txt” is not encoded in UTF-8; save it so"):
        read_text(tmp_path / "list.txt", "prompts")


def test_what_is_no_file_is_refused_by_name(tmp_path):
    for path in (tmp_path, tmp_path / "gone.txt"):
        with pytest.raises(EditError, match=f"{path.name}” cannot be read"):
            read_text(path, "prompts")


concepts = st.builds(lambda *names: names, texts.filter(tidy), texts).filter(
    lambda names: tidy(names[0]).lower() != tidy(names[1]).lower()
)
concept_recipes = st.builds(
    ConceptRecipe,
    concepts=st.lists(
        concepts.map(lambda names: Concept(*names)), min_size=1, max_size=4, unique_by=lambda concept: concept.source.lower()
    ).map(tuple),
    regularization=st.floats(0, exclude_min=True, allow_infinity=False) | st.integers(1, 10),
    templates=st.lists(texts.map(lambda text: f"{text}{{}}"), min_size=1, max_size=3).map(tuple) | st.just(TEMPLATES),
    layers=st.lists(st.integers(0, 40), max_size=3).map(tuple),
    mode=st.sampled_from(["attention", "text", "full"]),
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(concept_recipes)
def test_text_gives_the_concepts_back(recipe):
    assert parse_concept_recipe(recipe.to_text()) == recipe


def test_a_plain_recipe_of_concepts_is_written_plainly():
    recipe = ConceptRecipe((Concept("tench", "goldfish"), Concept("Van Gogh", "")), mode="full")
    assert recipe.to_text() == "! mode: full\ntench -> goldfish\nVan Gogh ->"
    recipe = ConceptRecipe((Concept("a", "b"),), 0.25, ("a photo of {}", "{}"), (8, 7), "text")
    assert recipe.to_text() == "! mode: text\n! regularization: 0.25\n! templates: a photo of {} | {}\n! layers: 7, 8\na -> b"


def test_settings_among_concepts_go_before_those_given_beside():
    given_beside = {"mode": "attention", "regularization": 2.0, "layers": (1,), "templates": ("a {}",)}
    recipe = parse_concept_recipe("! mode: full # as in the paper\na ~ b\n! layers: 7 8", **given_beside)
    assert recipe == ConceptRecipe((Concept("b", "a"),), 2.0, ("a {}",), (7, 8), "full")
    with pytest.raises(EditError, match=r"Line 1: “!” begins a setting, which has no place here"):
        parse_concepts("! mode: full\na -> b")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("! colour: red", "Line 1: a line with “!” sets mode, regularization, templates or layers"),
        ("! regularization: much", "Line 1: the regularization is “much”; give a number"),
        ("! regularization: 0", "give a number greater than 0"),
        ("! mode: full\n! mode: text", "Line 2: “mode” is set to something else in a line before; leave one of the two out"),
        ("! layers: seven", "Line 1: The layers “seven” are not understood"),
        ("! mode: half", "The mode “half” is not known"),
        ("! templates: a photo", "Every template needs {}"),
    ],
)
def test_bad_settings_of_concepts_are_refused(line, reason):
    with pytest.raises(EditError) as caught:
        parse_concept_recipe(f"{line}\na -> b")
    assert reason in str(caught.value)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(texts)
def test_any_text_is_concepts_or_refused(text):
    try:
        recipe = parse_concept_recipe(text)
    except EditError as error:
        assert len(str(error)) > 10 and "Traceback" not in str(error)
    else:
        assert parse_concept_recipe(recipe.to_text()) == recipe


def test_what_earlier_versions_wrote_is_read_as_it_was_meant():
    written = r"""! regularization: 0.2
! blocks: mid
- -> >
! augmentations: a -\-> b | C\# | \=\=x | none
a \=> b - x -> \->> \@ 0.5 - \| @ 0.5
! augmentations: none
me\@home \\\# C:\temp -> -\-> * 2.0
= \#1
= \=_\= \! \* 2 ~ 3
== -\-> \(rose\) <\->
== \\"""
    assert parse_recipe(written) == Recipe(
        (
            PromptPair("-", ">"),
            PromptPair("a => b - x", "->> @ 0.5 - |", 0.5, augmentations=("a --> b", "C#", "==x", "none")),
            PromptPair(r"me@home \# C:\temp", "-->", weight=2.0, augmentations=()),
        ),
        preserve=("#1", "=_= ! * 2 ~ 3"),
        regularization=0.2,
        blocks=("mid",),
        strict=(r"--> \(rose\) <->", "\\"),
    )
