"""Debiasing by chance on the pocket model: what is drawn is shown, and what the other ways are."""

import pytest
import torch

pytest.importorskip("diffusers")

from edit_assumption.evaluation import pocket_chance
from edit_assumption.evaluation.pocket_edits import PocketModel
from edit_assumption.evaluation.suite_methods import last_word
from edit_assumption.pocket.captions import caption
from edit_assumption.pocket.words import ALL, HATS, ROLES

WIZARD = ALL["wizard"]
SEEDS = range(1, 17)


@pytest.fixture(scope="module")
def model():
    return PocketModel(lambda count: None)


def test_pictures_show_what_they_drew(model):
    own = pocket_chance.ByChance(model, 50.0, SEEDS)
    variants, shown = own.variants(WIZARD), own.look(caption(WIZARD, {}))
    wanted = ["bare" if variant == pocket_chance.variant_of(WIZARD, "bare") else "hat" for variant in variants]
    assert set(wanted) == set(HATS)
    assert sum(one == other for one, other in zip(shown.hats, wanted, strict=True)) >= 14
    assert shown.share == shown.hats.count("hat") / 16 and shown.unclear <= 0.25


def test_the_share_that_is_wanted_is_the_one_that_is_drawn():
    chance = pocket_chance.chance_of(WIZARD, 20.0)
    shares = {variant.destination: variant.share for variant in chance.variants}
    assert shares == {"a wizard with a hat": 20.0, "a wizard without a hat": 80.0}


def test_uce_means_the_weighted_sum_of_the_variants_last_tokens(model):
    wanted = pocket_chance._wanted()
    even, leaning = ({name: weights for name in wanted} for weights in ((0.5, 0.5), (0.9, 0.1)))
    texts = [caption(WIZARD, {}), *wanted["wizard"].variants]
    source, *variants = (last_word(encoded).double() for encoded in model.encode(texts))
    for weights in (even, leaning):
        moved = pocket_chance.uce_debias(model, wanted, weights).apply(source)
        meant = sum(weight * variant for weight, variant in zip(weights["wizard"], variants, strict=True))
        assert float((moved - meant).norm() / (source - meant).norm()) < 0.3


def test_fair_imagen_is_measured_on_every_role(model):
    title, _, _, _, *rows, gaps, _, still = pocket_chance.fair_roles(model, SEEDS[:2])
    assert title.startswith("our reading of FairImagen") and [row.split()[1] for row in rows[:-1]] == [
        role.name for role in ROLES
    ]
    assert gaps.startswith("largest gap") and still.startswith("the role is shown in ")


def test_a_way_that_is_tuned_counts_its_pictures(model):
    asked = []

    def put(weights):
        asked.append(weights)
        return pocket_chance.in_the_weights(model, weights)

    first, *rows = pocket_chance.tuned(model, "in the weights", put, SEEDS[:2], rounds=1, pictures=2)
    assert first.startswith(f"in the weights: {2 * len(ROLES)} pictures drawn and judged to get there")
    assert len([row for row in rows if row.startswith("| ") and "role" not in row]) == len(ROLES)
    assert len(asked) == 2 and all(tuple(weights) == (0.5, 0.5) for weights in asked[0].values())
    assert torch.tensor([list(weights) for weights in asked[1].values()]).sum(dim=1) == pytest.approx(1)
