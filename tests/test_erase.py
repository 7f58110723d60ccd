"""Passes: what still evokes an edited concept is edited, too."""

import clip_helpers
import pytest
import torch
from edit_assumption.editing.columns import Columns
from edit_assumption.editing.context_map import ContextMap
from edit_assumption.editing.edit import make_edit
from edit_assumption.editing.erase import evoking, evoking_columns
from edit_assumption.editing.errors import EditError
from edit_assumption.editing.reach import reach
from edit_assumption.editing.recipe import parse_recipe

E1, E2, E3, E4 = torch.eye(4)


def test_by_hand():
    """M halves e1, so a token of twice the length would evoke it; the ridge makes it 0.5 / (0.25 + 0.1)."""
    halved = ContextMap(-0.5 * E1[:, None], E1[None])
    assert torch.allclose(evoking(halved, E1[None]), (0.5 / 0.35) * E1[None].double())
    columns = Columns.of(torch.stack([E1, E2]), torch.stack([E3, E2]))
    found = evoking_columns(halved, columns)
    assert torch.allclose(found.source, (0.5 / 0.35) * E1[None].double())  # e2 is not edited
    assert torch.allclose(found.destination, E3[None].double())


def test_what_is_found_evokes_best():
    """No other embedding does better on the objective that the paper gives."""
    chance = torch.Generator().manual_seed(1)
    context_map = ContextMap(torch.randn(12, 3, generator=chance), torch.randn(3, 12, generator=chance))
    token = torch.randn(1, 12, generator=chance, dtype=torch.float64)

    def objective(candidate):
        missed = context_map.to(dtype=torch.float64).apply(candidate) - token
        return float(missed.square().sum() + 0.1 * candidate.square().sum())

    found = evoking(context_map, token)
    for _ in range(20):
        assert objective(found) < objective(found + 0.01 * torch.randn(1, 12, generator=chance, dtype=torch.float64))


@pytest.fixture(scope="module")
def encode():
    return clip_helpers.ClipEncoder(clip_helpers.clip_text_model(128, seed=3))


def test_each_pass_leaves_less_that_evokes_the_source(encode):
    left = []
    for passes in (0, 1, 3):
        recipe = parse_recipe(f"! passes: {passes}\nroses ->\n= tulips", regularizer="identity")
        edit = make_edit(recipe, encode)
        words = encode(["roses"])[0]
        token = words.embeddings[words.words].double()
        candidate = evoking(edit.context_map, token)
        found = edit.context_map.to(dtype=torch.float64).apply(candidate)
        left.append(float((found - token).norm() / token.norm()))
        assert reach(edit.context_map, encode(["tulips"])[0]) < 0.3 * reach(edit.context_map, words)
    assert left[0] < left[1] < left[2]


@pytest.mark.parametrize(("number", "reason"), [("1.5", "whole number"), ("11", "between 0 and 10"), ("many", "give a number")])
def test_a_bad_number_of_passes_is_refused(number, reason):
    with pytest.raises(EditError, match=reason):
        parse_recipe(f"! passes: {number}\nroses ->")
