"""Passes: what still evokes an edited concept is edited, too."""

import clip_helpers
import pytest
import torch
from edit_assumption.editing.assumptions import closed_form
from edit_assumption.editing.assumptions import edit as editing
from edit_assumption.editing.assumptions.context_map import ContextMap
from edit_assumption.editing.assumptions.edit import make_edit
from edit_assumption.editing.assumptions.erase import evoking, evoking_columns
from edit_assumption.editing.assumptions.moments import second_moment
from edit_assumption.editing.assumptions.reach import reach
from edit_assumption.editing.assumptions.recipe import parse_recipe
from edit_assumption.editing.assumptions.token_columns import Columns
from edit_assumption.editing.errors import EditError

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


@pytest.mark.parametrize("regularizer", ["identity", "captions"])
def test_passes_leave_lambda_as_it_is(encode, regularizer, monkeypatch):
    """What evokes the source is many times longer than the source itself; it has no say in how much is held in place."""
    used = []

    def solve(*arguments):
        used.append(
            (sum(map(len, arguments[0])), arguments[1] * (closed_form.token_scale(arguments[0]) if arguments[2] else 1))
        )
        return closed_form.solve(*arguments)

    monkeypatch.setattr(editing, "solve", solve)
    moment = second_moment(encode(["a cat", "a dog on a house", "an apple"]))
    make_edit(parse_recipe("! passes: 3\nroses ->\n= tulips", regularizer=regularizer), encode, moment=moment)
    columns, strengths = zip(*used, strict=True)
    assert list(columns) == sorted(set(columns)) and len(columns) == 4
    assert strengths == (pytest.approx(strengths[0]),) * 4


def test_passes_keep_the_weights_of_the_pairs(encode):
    """What evokes a token of weight 3 weighs 3, too."""
    columns = Columns.of(torch.stack([E1, E2]), torch.stack([E3, E2]), weight=3.0)
    assert evoking_columns(ContextMap(-0.5 * E1[:, None], E1[None]), columns).weight.tolist() == [3.0]


def test_the_map_is_inverted_in_float64():
    """A direction that the map nearly takes away: 1 + l r is 1e-7, which float32 rounds to another number."""
    left = torch.tensor([[1 - 2.0**-22], [0.0]])
    shut = ContextMap(-left, torch.tensor([[1.0, 0.0]]))
    left_open = 2.0**-22
    expected = left_open / (left_open**2 + 1e-14)
    assert evoking(shut, torch.tensor([[1.0, 0.0]]), ridge=1e-14)[0, 0].item() == pytest.approx(expected, rel=1e-6)


def test_distances_are_measured_in_units_of_the_coordinates():
    context_map = ContextMap(torch.tensor([[0.5], [1.0]]), torch.tensor([[1.0, -1.0]]))
    unit = torch.tensor([1.0, 100.0], dtype=torch.float64)
    larger = ContextMap(context_map.left * unit[:, None].float(), context_map.right / unit.float())
    token = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    found = evoking(larger, token * unit, unit=unit) / unit
    assert torch.allclose(found, evoking(context_map, token))
    assert not torch.allclose(evoking(larger, token * unit) / unit, found, rtol=1e-2)


def test_what_evokes_is_the_papers_formula():
    """(M^T M + mu I)^-1 M^T c, in the coordinates' units; tokens of any type."""
    generator = torch.Generator().manual_seed(0)
    context_map = ContextMap(torch.randn(6, 2, generator=generator), torch.randn(2, 6, generator=generator))
    unit = torch.rand(6, generator=generator) + 0.5
    tokens = torch.randn(3, 6, generator=generator)
    dense = torch.eye(6).double() + context_map.left.double() @ context_map.right.double()
    for given, size in ((None, torch.ones(6)), (unit, unit)):
        seen = torch.diag(1 / size.double()) @ dense @ torch.diag(size.double())
        for mu in (0.1, 2.0):
            expected = torch.linalg.inv(seen.T @ seen + mu * torch.eye(6).double()) @ seen.T @ (tokens.double() / size).T
            found = evoking(context_map, tokens, mu, given)
            assert found.dtype == torch.float64 and torch.allclose(found, expected.T * size, rtol=1e-9)
    assert torch.equal(evoking(context_map, tokens), evoking(context_map, tokens, 0.1))


def test_columns_of_what_evokes_are_asked_in_full():
    """Of a token at half strength: its target is where it was to go, and all of the way."""
    context_map = ContextMap(-0.5 * E1[:, None], E1[None])
    columns = Columns(torch.stack([E2, E1, E1]), torch.stack([E2, E3, E4]), torch.tensor([1.0, 0.5, 2.0]).double(),
                      torch.tensor([5.0, 6.0, 7.0]).double())  # fmt: skip
    found = evoking_columns(context_map, columns)
    assert found.strength.tolist() == [1.0, 1.0] and found.weight.tolist() == [6.0, 7.0]
    assert torch.allclose(found.destination, torch.stack([0.5 * E1 + 0.5 * E3, -E1 + 2 * E4]).double())
    assert torch.allclose(found.source, (0.5 / 0.35) * torch.stack([E1, E1]).double())
    unit = torch.tensor([2.0, 1.0, 1.0, 1.0])
    assert torch.equal(
        evoking_columns(context_map, columns, unit).source, evoking(context_map, torch.stack([E1, E1]).double(), unit=unit)
    )
