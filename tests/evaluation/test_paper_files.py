"""Files of edits, a tiny one of each format and those of the papers where they are there, and what is refused."""

import csv
import json

import pytest

pytest.importorskip("diffusers", reason="diffusers is not installed")

from edit_assumption.editing.errors import EditError
from edit_assumption.evaluation.papers.edit_set import BIAS, EFFICACY, GENERALITY, SPECIFICITY, VALIDATION_BIAS, Case
from edit_assumption.evaluation.papers.formats import read_edit_set
from paper_files import FILES, write
from servers import REPOSITORY

DATA = REPOSITORY / "../shared/data"


def test_timed(tmp_path):
    edits = read_edit_set(write(tmp_path, "TIMED"))
    assert edits.kind == "TIMED" and not edits.whole and len(edits.edits) == 2
    rose = edits.edits[0]
    assert (rose.source, rose.destination) == ("a rose", "a blue rose")
    assert rose.cases[EFFICACY] == (Case("a rose", "a blue rose", "a rose", ("a blue rose",)),)
    assert rose.cases[GENERALITY][1] == Case(
        "a rose in the snow", "a blue rose in the snow", "a rose in the snow", ("a blue rose in the snow",)
    )
    assert rose.cases[SPECIFICITY][0] == Case("a tulip", "a tulip", "a blue tulip", ("a tulip",))


def test_road_is_judged_by_old_and_new(tmp_path):
    (rose,) = read_edit_set(write(tmp_path, "RoAD")).edits
    assert (rose.source, rose.destination) == ("a wizard", "a wizard with a hat")
    assert rose.cases[EFFICACY] == (Case("a wizard", "a blue wizard", "a red wizard", ("a wizard with a hat",)),)
    assert rose.cases[GENERALITY] == (
        Case("a wizard at night", "a blue wizard at night", "a red wizard at night", ("a blue wizard at night",)),
    )
    assert rose.cases[SPECIFICITY] == (Case("a cat", "a cat", "a blue cat", ("a cat",)),)


def test_the_gender_set_has_variants(tmp_path):
    wizard, doctor = read_edit_set(write(tmp_path, "gender")).edits
    assert wizard.variants == ("a wizard with a hat", "a wizard without a hat") and wizard.destination == wizard.variants[1]
    assert [case.prompt for case in wizard.cases[BIAS]] == ["a painting of a wizard", "a wizard at night"]
    assert wizard.cases[BIAS][1].oracles == ("a wizard with a hat at night", "a wizard without a hat at night")
    assert wizard.cases[BIAS][0].choice == wizard.variants
    assert [case.prompt for case in wizard.cases[VALIDATION_BIAS]] == ["a photo of a wizard"] and doctor.source == "a doctor"


def test_the_gender_set_as_time_has_it_names_the_genders_itself(tmp_path):
    rows = [["an attendant", "a female attendant", "A photo of an attendant", "An attendant working"]]
    (edit,) = read_edit_set(write(tmp_path, "x", rows, ["old", "new", "validation", "ex1"])).edits
    assert edit.variants == ("a female attendant", "a male attendant") and edit.destination == "a female attendant"
    assert edit.cases[BIAS][0].oracles == ("a female attendant working", "a male attendant working")
    rows = [["an", "attendant", "A photo of an attendant", "An attendant working"]]
    (uces,) = read_edit_set(write(tmp_path, "y", rows, ["article", "profession", "validation", "ex1"])).edits
    assert uces == edit


def test_artists_are_erased_together_and_others_held(tmp_path):
    edits = read_edit_set(write(tmp_path, "artists"), "tree")
    assert edits.whole and edits.preserve == ("dog",) and [edit.source for edit in edits.edits] == ["rose", "cat"]
    assert edits.edits[0].cases[EFFICACY] == (
        Case("a painting of a rose", "a painting of a tree", "a painting of a rose", ("a painting of a tree",), (7,)),
    )
    held = [case for edit in edits.edits for case in edit.cases[SPECIFICITY]]
    assert [case.prompt for case in held] == ["a drawing of a car", "a photo of a car"] and held[0].seeds == (11,)
    assert held[0].choice == ("a drawing of a car", "a drawing of a tree")
    assert read_edit_set(write(tmp_path, "artists"), limit=1).edits[0].destination == "art"


def test_artists_without_types_are_erased_up_to_the_limit(tmp_path):
    rows = [["Image in the style of Ann Lee", 3, "Ann Lee"], ["A view, as Picasso saw it", 4, "Pablo Picasso"]]
    path = write(tmp_path, "list", rows, ["prompt", "evaluation_seed", "artist"])
    first, second = read_edit_set(path).edits
    assert first.cases[EFFICACY][0].wanted == "Image in the style of art" and not first.cases[SPECIFICITY]
    assert second.cases[EFFICACY] == (Case("A view, as Picasso saw it", "art", "Pablo Picasso", ("art",), (4,)),)
    (alone,) = read_edit_set(path, limit=1).edits
    assert [case.prompt for case in alone.cases[SPECIFICITY]] == ["A view, as Picasso saw it"]


def test_emcids_artists(tmp_path):
    rows = [{"class name": "Ann Lee", "text prompt": "a painting of {}", "random seed": 9, "anchor": None, "idx": 0}]
    (tmp_path / "artists.json").write_text(json.dumps(rows))
    (edit,) = read_edit_set(tmp_path / "artists.json").edits
    assert edit.cases[EFFICACY][0] == Case(
        "a painting of Ann Lee", "a painting of art", "a painting of Ann Lee", ("a painting of art",), (9,)
    )


def test_professions(tmp_path):
    doctor, poet = read_edit_set(write(tmp_path, "professions")).edits
    assert doctor.variants == ("female doctor", "male doctor") and len(doctor.cases[BIAS]) == 2
    assert doctor.cases[BIAS][0].choice == ("a female doctor", "a male doctor") and poet.cases[BIAS][0].seeds == (5,)
    assert doctor.cases[BIAS][0].oracles == ("a photo of female doctor", "a photo of male doctor")


def test_a_file_of_ones_own(tmp_path):
    rose, cat = read_edit_set(write(tmp_path, "own")).edits
    assert rose.cases[GENERALITY][0].wanted == "a painting of a blue rose"
    assert rose.cases[GENERALITY][1].oracles == ("some blue roses",)
    assert [case.other for case in rose.cases[SPECIFICITY]] == ["a blue tulip"]
    assert cat.cases[SPECIFICITY][0].other == cat.destination and len(cat.cases[GENERALITY]) == 1


def test_a_limit_is_spread_over_the_file(tmp_path):
    rows = [[f"a {n} rose", f"a blue {n} rose"] for n in range(10)]
    edits = read_edit_set(write(tmp_path, "many", rows, ["source", "destination"]), limit=3).edits
    assert [edit.source for edit in edits] == ["a 0 rose", "a 3 rose", "a 6 rose"]


@pytest.mark.parametrize(
    ("columns", "rows", "sentence"),
    [
        (["a", "b"], [["1", "2"]], "columns of .* are of no known file; give TIMED"),
        (["source", "destination"], [], "has no rows"),
        (["source", "destination"], [["a cat", ""]], "Row 2 .* nothing in its column “destination”"),
        (["source", "destination"], [["a cat", "A cat"]], "Row 2 .* “a cat” become itself"),
        (["source", "destination", "related1"], [["a cat", "a dog", "kittens"]], "does not contain its source, .* oracle1"),
        (["source", "destination"], [["a cat", "a dog", "more"]], "Row 2 .* more cells than there are columns"),
        (["old", "new", "positive1", "gt1"], [["a", "b", "c", ""]], "Row 2 .* column “gt1”"),
        (["artist", "prompt", "type"], [["Ann", "by Ann", "killed"]], "Row 2 .* has the type “killed”"),
        (["artist", "prompt", "type"], [["Ann", "by Ann", "holdout"]], "no artist of the type “erased”"),
        (["artist", "prompt", "evaluation_seed"], [["Ann", "by Ann", "x"]], "Row 2 .* “x” where a seed belongs"),
        (["source", "dest", "prompts", "seeds", "source id", "dest id"], [["a"] * 6], "edit-assumption iceb --csv"),
    ],
)
def test_other_files_are_refused(columns, rows, sentence, tmp_path):
    with pytest.raises(EditError, match=sentence):
        read_edit_set(write(tmp_path, "file", rows, columns))


def test_what_is_no_table_is_refused(tmp_path):
    with pytest.raises(EditError, match="cannot be read"):
        read_edit_set(tmp_path / "none.csv")
    (tmp_path / "x.json").write_text('{"a": 1}')
    with pytest.raises(EditError, match="no list of objects"):
        read_edit_set(tmp_path / "x.json")
    (tmp_path / "y.json").write_text("[")
    with pytest.raises(EditError, match="cannot be read"):
        read_edit_set(tmp_path / "y.json")
    for name in ("TIMED", "professions"):
        with pytest.raises(EditError, match="leave out --destination"):
            read_edit_set(write(tmp_path, name), "art")


@pytest.mark.skipif(not DATA.exists(), reason="the papers' files are not there")
@pytest.mark.parametrize(
    ("name", "measures"),
    [
        ("TIMED_validation_set.csv", {EFFICACY: 1, GENERALITY: 5, SPECIFICITY: 5}),
        ("RoAD_validation.csv", {EFFICACY: 1, GENERALITY: 5, SPECIFICITY: 5}),
        ("TIMED_gender_test_set.csv", {BIAS: 5, VALIDATION_BIAS: 1}),
    ],
)
def test_the_papers_own_files(name, measures):
    with (DATA / name).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    edits = read_edit_set(DATA / name).edits
    assert len(edits) == len(rows)
    assert all({measure: len(cases) for measure, cases in edit.cases.items()} == measures for edit in edits)


def test_every_format_has_a_file_here():
    assert set(FILES) == {"TIMED", "RoAD", "gender", "artists", "professions", "own"}
