"""Debiasing: weights are tuned until the judged shares are the wanted ones."""

import json
import random

import pytest
import torch
from edit_assumption.editing.debias import (
    Round,
    Wanted,
    largest_gap,
    next_weights,
    rounds_from_json,
    rounds_to_json,
    tune,
)
from edit_assumption.editing.errors import EditError

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
    recipe = DOCTORS.recipe((0.3, 0.7), augmentations=(), regularization=0.2)
    assert {(pair.destination, pair.weight) for pair in recipe.pairs} == {("a female doctor", 0.3), ("a male doctor", 0.7)}
    assert recipe.regularization == 0.2


def test_a_weight_below_0_pushes_away_from_its_variant():
    """The pairs' weighted mean is the subject moved by the weights themselves, with their signs."""
    weights = (1.25, -0.25)
    subject, female, male = torch.eye(3, dtype=torch.float64)
    pairs = DOCTORS.recipe(weights).pairs
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
