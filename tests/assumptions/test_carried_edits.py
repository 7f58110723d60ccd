"""What a model carries, in words."""

from edit_assumption.editing.assumptions.recipe import parse_recipe
from edit_assumption.editing.carried_edits import CarriedEdit, carried_besides, carried_in_full
from edit_assumption.editing.concepts.concept_recipe import parse_concept_recipe

ROSES = parse_recipe("a pack of roses -> a pack of blue roses")
TWO = parse_recipe("a doctor -> a female doctor @ 0.5\na pack of roses -> a pack of blue roses")
FORGOTTEN = parse_recipe("! regularization: 0.2\n! blocks: mid\nVan Gogh ->\n= a vase\n== a cup")
CONCEPTS = parse_concept_recipe("tench -> goldfish\nVan Gogh ->")


def test_nothing_is_said_to_be_nothing():
    assert carried_in_full("MODEL", []) == "The MODEL carries no edit."


def test_solutions_are_numbered_and_their_edits_listed():
    assert carried_in_full("MODEL", [CarriedEdit(TWO), CarriedEdit(FORGOTTEN, 0.8)]).splitlines() == [
        "The MODEL carries 3 edits, applied in this order:",
        "1. solved together:",
        "    a doctor → a female doctor @ 0.5",
        "    a pack of roses → a pack of blue roses",
        "2. Van Gogh → (forgotten), at 80 % of its strength, regularization: 0.2, blocks: mid, preserved prompts: 2",
    ]


def test_concepts_are_told_of_as_such():
    assert carried_in_full("CLIP", [CarriedEdit(CONCEPTS, -1.0)]).splitlines() == [
        "The CLIP carries 2 concept edits:",
        "1. solved together, at 100 % of its strength, reversed:",
        "    tench → goldfish",
        "    Van Gogh → (forgotten)",
    ]


def test_an_edit_at_no_strength_is_not_reversed():
    assert carried_in_full("MODEL", [CarriedEdit(ROSES, 0.0)]).endswith("blue roses, at 0 % of its strength")


def test_an_edit_that_is_off_is_not_counted():
    off = parse_recipe("a doctor -> a female doctor @ 0\na pack of roses -> a pack of blue roses")
    assert carried_in_full("MODEL", [CarriedEdit(off)]).startswith("The MODEL carries 1 edit:")


def test_an_edits_own_report_names_the_others_only():
    assert carried_besides("model", [CarriedEdit(ROSES)], ROSES) == []
    assert carried_besides("model", [CarriedEdit(TWO)], TWO) == []
    assert carried_besides("model", [CarriedEdit(TWO), CarriedEdit(FORGOTTEN, 0.5)], FORGOTTEN) == [
        "the model now carries 3 edits: a doctor → a female doctor @ 0.5, a pack of roses → a pack of blue roses "
        "(solved together); then Van Gogh → (forgotten) (at 50 % of its strength)"
    ]
    assert carried_besides("model", [CarriedEdit(ROSES), CarriedEdit(TWO, -0.5)], TWO) == [
        "the model now carries 3 edits: a pack of roses → a pack of blue roses; then a doctor → a female doctor @ 0.5, "
        "a pack of roses → a pack of blue roses (solved together, at 50 % of its strength, reversed)"
    ]


def test_one_line_names_three_edits_of_a_solution():
    many = parse_recipe("\n".join(f"thing {number} -> other {number}" for number in range(9)))
    (line,) = carried_besides("model", [CarriedEdit(many)], ROSES)
    assert "thing 2 → other 2, 6 more (solved together)" in line and "thing 3" not in line
    (line,) = carried_besides("model", [CarriedEdit(parse_recipe("a -> b\nc -> d\ne -> f"))], ROSES)
    assert line == "the model now carries 3 edits: a → b, c → d, e → f (solved together)"
