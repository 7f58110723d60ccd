"""Debiasing: weights are tuned until the judged shares are the wanted ones."""

import json
import math
import random

import pytest
import torch
from edit_assumption.editing import shares as shares_of_variants
from edit_assumption.editing.assumptions.debias import debias_recipe
from edit_assumption.editing.errors import EditError
from edit_assumption.editing.shares import Round, Wanted, largest_gap, next_weights, rounds_from_json, rounds_to_json, tune

DOCTORS = Wanted.parse("a doctor", "a female doctor: 50\na male doctor: 50")


def model_with(bias, slope, pictures, seed=0):
    """A model whose pictures show variants by a law that the tuning does not know."""
    chance = random.Random(seed)

    def count_shown(weights, number):
        shares = torch.softmax(torch.tensor(bias) + slope * torch.tensor(weights), dim=0).tolist()
        shown = chance.choices(range(len(bias)), shares, k=pictures)
        return [shown.count(variant) for variant in range(len(bias))]

    def true_shares(weights):
        return torch.softmax(torch.tensor(bias) + slope * torch.tensor(weights), dim=0)

    return count_shown, true_shares


@torch.inference_mode()
def test_it_works_where_gradients_are_switched_off():
    assert next_weights(DOCTORS, [Round((0.5, 0.5), (40, 8))])[0] < 0.5


@pytest.mark.parametrize("bias", [(0.0, 0.0), (2.0, -1.0), (-3.0, 1.0)])
@pytest.mark.parametrize("slope", [4.0, 9.0, 20.0])
def test_two_variants_come_to_the_wanted_shares(bias, slope):
    gaps = []
    for seed in range(10):
        count_shown, true_shares = model_with(bias, slope, 48, seed)
        *_, rounds = tune(DOCTORS, count_shown, tolerance=0.0, budget=8)
        final = true_shares(next_weights(DOCTORS, rounds))
        gaps.append(float((final - torch.tensor(DOCTORS.shares)).abs().max()))
    assert sorted(gaps)[7] < 0.08


def test_three_variants_in_other_shares():
    wanted = Wanted.parse("a cat", "a black cat: 20\na white cat: 30\nan orange cat: 50")
    count_shown, true_shares = model_with((1.0, -1.0, 0.5), 8.0, 64)
    *_, rounds = tune(wanted, count_shown, tolerance=0.0, budget=10)
    final = true_shares(next_weights(wanted, rounds))
    assert float((final - torch.tensor(wanted.shares)).abs().max()) < 0.08
    assert true_shares(wanted.shares)[2] > 0.8  # where it began


def test_it_stops_at_the_tolerance_or_the_budget():
    count_shown, _ = model_with((0.3, 0.0), 4.0, 201)  # an odd number is never half and half
    assert len(list(tune(DOCTORS, count_shown, tolerance=0.2, budget=5))) == 1
    assert len(list(tune(DOCTORS, count_shown, tolerance=0.0, budget=3))) == 3


def test_it_goes_on_from_earlier_rounds():
    count_shown, _ = model_with((2.0, -1.0), 8.0, 48)
    *_, whole = tune(DOCTORS, count_shown, tolerance=0.0, budget=4)
    count_shown, _ = model_with((2.0, -1.0), 8.0, 48)
    *_, first = tune(DOCTORS, count_shown, tolerance=0.0, budget=2)
    kept = rounds_from_json(DOCTORS, rounds_to_json(DOCTORS, first))
    assert kept == first
    *_, resumed = tune(DOCTORS, count_shown, tolerance=0.0, budget=4, rounds=kept)
    assert resumed == whole


def test_before_the_first_round_the_shares_are_the_weights():
    assert next_weights(DOCTORS, []) == (0.5, 0.5)


def test_the_gap_is_that_of_the_share_furthest_off():
    assert largest_gap(DOCTORS, Round((0.4, 0.6), (6, 4))) == pytest.approx(0.1)


def test_the_recipe_weighs_the_variants():
    recipe = debias_recipe(DOCTORS, (0.3, 0.7), augmentations=(), regularization=0.2)
    assert {(pair.destination, pair.weight) for pair in recipe.pairs} == {("a female doctor", 0.3), ("a male doctor", 0.7)}
    assert recipe.regularization == 0.2


def test_a_weight_below_0_pushes_away_from_its_variant():
    """The pairs' weighted mean is the subject moved by the weights themselves, with their signs."""
    weights = (1.25, -0.25)
    subject, female, male = torch.eye(3, dtype=torch.float64)
    pairs = debias_recipe(DOCTORS, weights).pairs
    meant = {"a female doctor": female, "a male doctor": male}
    assert sum(pair.weight for pair in pairs) == pytest.approx(1)
    assert {pair.destination: pair.strength > 0 for pair in pairs} == {"a female doctor": True, "a male doctor": False}
    moved = sum(pair.weight * pair.strength * (meant[pair.destination] - subject) for pair in pairs)
    assert torch.allclose(moved, 1.25 * (female - subject) - 0.25 * (male - subject))


def test_lines_without_shares_get_the_same():
    assert Wanted.parse("a doctor", "a female doctor\na male doctor\na robot doctor").shares == (1 / 3,) * 3


@pytest.mark.parametrize(
    ("subject", "text", "reason"),
    [
        ("", "a: 1\nb: 1", "The subject is empty"),
        ("a doctor", "a female doctor: 50", "at least two"),
        ("a doctor", "a female doctor: 50\na male doctor", "every line one"),
        ("a doctor", "a female doctor: half\na male doctor: 50", "does not end in a share"),
        ("a doctor", "a female doctor: 0\na male doctor: 50", "does not end in a share"),
        ("a doctor", "a female doctor: inf\na male doctor: 50", "does not end in a share"),
    ],
)
def test_bad_wishes_are_refused(subject, text, reason):
    with pytest.raises(EditError, match=reason):
        Wanted.parse(subject, text)


OTHERS = json.dumps({"wanted": {"subject": "x", "variants": []}, "rounds": []})


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", OTHERS])
def test_a_result_that_is_none_is_refused(text):
    with pytest.raises(EditError):
        rounds_from_json(DOCTORS, text)


def test_sentences_of_what_is_refused():
    cases = {
        "The subject is empty; write whose pictures are lopsided, such as: a doctor": (" ", "a: 1\nb: 1"),
        "Write at least two variants, one a line, such as: a female doctor: 50": ("a doctor", "a female doctor"),
        "Some variants have a share and some have none; give every line one, or none.": ("a doctor", "a\nb: 50"),
        "“b: half” does not end in a share; write a number above 0 there, such as: a female doctor: 50": (
            "a doctor", "a: 50\nb: half"
        ),
        "Line 1 of variants: “!” begins a setting, which has no place here; write \\! if it belongs to the text.": (
            "a doctor", "!a\nb"
        ),
    }  # fmt: skip
    for sentence, given in cases.items():
        with pytest.raises(EditError) as caught:
            Wanted.parse(*given)
        assert str(caught.value) == sentence


def test_shares_are_read_behind_the_last_colon():
    found = Wanted.parse(" a  doctor ", "  art: blue : 0.5 %\nred:1.5")
    assert found == Wanted("a doctor", ("art: blue", "red"), (0.25, 0.75))
    assert Wanted.parse("a", "b\nc").variants == ("b", "c")


def test_the_recipes_pairs_have_the_sentences_they_were_given():
    recipe = debias_recipe(DOCTORS, (1.0, 0.0), augmentations=("art of",), passes=2)
    assert [pair.augmentations for pair in recipe.pairs] == [("art of",)] * 2 and recipe.passes == 2
    assert {pair.destination: pair.weight for pair in recipe.pairs} == {"a female doctor": 1.0, "a male doctor": 1e-6}
    assert {pair.strength for pair in recipe.pairs} == {1.0}
    plain = debias_recipe(DOCTORS, (0.5, 0.5)).pairs[0]
    assert plain.augmentations == type(plain)("a", "b").augmentations
    with pytest.raises(ValueError):
        debias_recipe(DOCTORS, (1.0,))
    with pytest.raises(ValueError):
        largest_gap(DOCTORS, Round((1.0,), (1,)))


def test_rounds_as_text():
    wanted = Wanted("a rosé", ("a", "b"), (0.5, 0.5))
    text = rounds_to_json(wanted, [Round((0.25, 0.75), (3, 0))])
    assert text == (
        '{"wanted": {"subject": "a rosé", "variants": ["a", "b"], "shares": [0.5, 0.5]}, '
        '"rounds": [{"weights": [0.25, 0.75], "counts": [3, 0]}]}'
    )
    assert rounds_from_json(wanted, f"\ufeff{text}") == [Round((0.25, 0.75), (3, 0))]
    assert Round((0.25, 0.75), (3, 0)).shares == (1.0, 0.0) and Round((0.25, 0.75), (0, 0)).shares == (0.0, 0.0)


@pytest.mark.parametrize(
    ("names", "entry", "sentence"),
    [
        (("x", "a", "b"), ((0.5, 0.5), (1, 1)), "is of another subject or other variants; leave it empty to begin anew."),
        (("s", "a", "x"), ((0.5, 0.5), (1, 1)), "is of another subject or other variants; leave it empty to begin anew."),
        (("s", "a", "b"), ((0.5,), (1, 1)), "does not fit its own variants; leave it empty to begin anew."),
        (("s", "a", "b"), ((0.5, 0.5), (1,)), "does not fit its own variants; leave it empty to begin anew."),
        (("s", "a", "b"), ((0.5, 0.5), (1, -1)), "does not fit its own variants; leave it empty to begin anew."),
    ],
)
def test_rounds_of_something_else_are_refused(names, entry, sentence):
    text = rounds_to_json(Wanted(names[0], names[1:], (0.5, 0.5)), [Round(*entry)])
    with pytest.raises(EditError) as caught:
        rounds_from_json(Wanted("s", ("a", "b"), (0.5, 0.5)), text)
    assert str(caught.value) == f"The result to go on from {sentence}"


def test_a_text_that_is_no_result_is_named():
    with pytest.raises(EditError) as caught:
        rounds_from_json(DOCTORS, "{}")
    assert str(caught.value) == "This is not a result of Debias Concept ('wanted'); connect one, or leave it empty."


def test_the_next_weights_are_those_of_the_most_probable_law():
    """Against a search by Newton's method, written without the library: logits a + b (w - 1/n), a and log b normal."""
    rounds = [Round((0.5, 0.3, 0.2), (20, 9, 3)), Round((0.2, 0.4, 0.4), (6, 17, 11))]
    wanted = Wanted("s", ("a", "b", "c"), (0.2, 0.3, 0.5))
    weights = torch.tensor([entry.weights for entry in rounds]).double()
    counts = torch.tensor([entry.counts for entry in rounds]).double()

    def surprise(state):
        slope = 8 * torch.exp(0.7 * state[3])
        logits = state[:3] + slope * (weights - 1 / 3)
        prior = (state[:3] ** 2).sum() / 2.5**2 / 2 + state[3] ** 2 / 2
        return prior - (counts * torch.log_softmax(logits, 1)).sum()

    state = torch.zeros(4, dtype=torch.float64)
    for _ in range(60):
        slope = torch.autograd.functional.jacobian(surprise, state)
        bent = torch.autograd.functional.hessian(surprise, state) + 1e-3 * torch.eye(4)
        state = state - 0.5 * torch.linalg.solve(bent, slope)
    bias, slope = state[:3] - state[:3].mean(), float(8 * torch.exp(0.7 * state[3]))
    needed = (torch.tensor(wanted.shares).double().log() - bias) / slope
    assert torch.allclose(torch.tensor(next_weights(wanted, rounds)).double(), needed + (1 - needed.sum()) / 3, atol=1e-4)


def test_weights_are_drawn_to_the_middle_until_they_are_small_enough():
    """One of a hundred pictures or so: a weight far below 0 would be needed."""
    wanted = Wanted("s", ("a", "b"), (0.999, 0.001))
    weights = next_weights(wanted, [Round((0.5, 0.5), (0, 400)), Round((0.9, 0.1), (1, 399))])
    sizes = sum(map(abs, weights))
    assert 0.97 * 1.9 - 0.03 < sizes <= 1.9 and sum(weights) == pytest.approx(1)
    assert weights[0] > 1 > 0 > weights[1]


def test_what_is_tuned_is_told_round_by_round():
    asked = []

    def count_shown(weights, number):
        asked.append((weights, number))
        return torch.tensor([5, 5]) if number == 1 else [6, 4]

    told = list(tune(DOCTORS, count_shown, 0.1, 3, [Round((0.4, 0.6), (9, 1))]))
    assert (
        [len(rounds) for rounds in told] == [2]
        and told[0][1].counts == (5, 5)
        and asked == [(next_weights(DOCTORS, [Round((0.4, 0.6), (9, 1))]), 1)]
    )
    assert list(tune(DOCTORS, count_shown, 0.1, 3, told[0])) == [] == list(tune(DOCTORS, count_shown, 0.0, 2, told[0]))
    assert list(tune(DOCTORS, count_shown, 0.25, 2, [Round((0.4, 0.6), (3, 1))])) == []  # the gap is the tolerance itself


def test_the_next_weights_solve_the_law_for_the_shares(monkeypatch):
    bias = torch.tensor([0.1, -0.3, 0.2]).double()
    monkeypatch.setattr(shares_of_variants, "_fit", lambda rounds: (bias, 7.0))
    wanted = Wanted("s", ("a", "b", "c"), (0.2, 0.3, 0.5))
    weights = torch.tensor(next_weights(wanted, [Round((1.0, 0.0, 0.0), (1, 1, 1))]), dtype=torch.float64)
    shares = torch.softmax(bias + 7 * weights, 0)
    assert shares.tolist() == pytest.approx(wanted.shares, rel=1e-12)
    needed = [(math.log(share) - float(each)) / 7 for share, each in zip(wanted.shares, bias, strict=True)]
    assert weights.tolist() == pytest.approx([each + (1 - sum(needed)) / 3 for each in needed], rel=1e-12)
