"""How far a solution of several pairs is carried: each pair by itself, against the formula written out."""

from dataclasses import replace

import pytest
import torch
from edit_assumption.editing.assumptions.carry import Carried
from edit_assumption.editing.assumptions.closed_form import solve
from edit_assumption.editing.assumptions.recipe import parse_recipe
from edit_assumption.editing.assumptions.token_columns import Columns, parts_of
from edit_assumption.editing.encoding import Chunk, EncodedPrompt

WIDTH, LAMBDA = 32, 9.0


def tokens(count, seed, **settings):
    source, destination = torch.randn(2, count, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Columns.of(source, destination, **settings)


def problem(count):
    """Three pairs, the first in two sentences; what erasing asks for beside them; and what stays."""
    kept = tokens(count, 6)
    return [
        replace(tokens(count, 0), pair=0),
        replace(tokens(count, 1), pair=0),
        replace(tokens(2 * count, 2, weight=3.0), pair=1),
        replace(tokens(count, 3, strength=-0.5), pair=2),
        tokens(count, 4, strength=0.5),
        replace(kept, destination=kept.source),
    ]


def change(parts, factors):
    """M - I = E D C^T (C D C^T + lambda I)^-1, with what each part asks times its factor."""
    c = torch.cat([part.source for part in parts]).T
    e = torch.cat([part.shift() * factor for part, factor in zip(parts, factors, strict=True)]).T
    w = torch.cat([part.weight for part in parts])
    return torch.linalg.solve((c * w) @ c.T + LAMBDA * torch.eye(WIDTH, dtype=torch.float64), (c * w) @ e.T).T


def progress(delta, parts):
    """How far parts go along what was asked of them, as a share of it."""
    along = sum((part.weight[:, None] * (part.source @ delta.T) * part.shift()).sum() for part in parts)
    return float(along / sum((part.weight[:, None] * part.shift().square()).sum() for part in parts))


def solved(parts, tolerance=0.0, most=99.0):
    return solve(parts, LAMBDA, scaled=False, tolerance=tolerance, carried=Carried(reach=1.2, most=most))


@pytest.mark.parametrize("count", [2, 20], ids=["dual", "primal"])
@pytest.mark.parametrize("most", [99.0, 1.5])
def test_each_pair_is_asked_for_as_much_more_as_it_falls_short(count, most):
    parts = problem(count)
    alone = change(parts, [1] * 6)
    shares = [progress(alone, group) for group in (parts[:2], parts[2:3], parts[3:4], parts[4:5])]
    assert max(shares) > 1.05 * min(shares)  # so that one factor for all would not do
    factors = [min(most, 1.2 / share) if share > 0 else most for share in shares]
    expected = change(parts, [factors[0], *factors, 1])
    found = solved(parts, most=most)
    assert (found.context_map.change() - expected).norm() < 1e-6 * expected.norm()
    asked = torch.cat([part.shift() * part.weight.sqrt()[:, None] for part in parts])
    moved = torch.cat([part.source @ expected.T * part.weight.sqrt()[:, None] for part in parts[:5]])
    left = (moved - asked[: len(moved)]).norm() / asked.norm()  # of what was asked at first
    assert found.residual == pytest.approx(float(left), rel=1e-5)


@pytest.mark.parametrize("count", [2, 20], ids=["dual", "primal"])
def test_what_no_picture_shows_is_left_out_of_a_carried_solution_as_well(count):
    parts = problem(count)
    whole, short = solved(parts).context_map, solved(parts, 0.1).context_map
    assert short.rank < whole.rank
    assert (short.change() - whole.change()).norm() < 0.2 * whole.change().norm()


def test_tokens_that_two_pairs_ask_for_say_nothing_of_one():
    """The first pair is carried by its other token, and two pairs of one token alone as their mean is."""
    e = torch.eye(WIDTH, dtype=torch.float64)
    both, opposite = e[0] + 2 * e[1] + e[2], e[0] - 2 * e[1] + e[2]
    first = replace(Columns.of(e[[0, 3]], torch.stack([both, e[3] + e[4]])), pair=0)
    parts = [first, *(replace(Columns.of(e[:1], end[None]), pair=n) for n, end in ((1, opposite), (2, both), (3, opposite)))]
    found = solved(parts).context_map.change().double()
    torch.testing.assert_close(found[:, 3], 1.2 * e[4], rtol=1e-5, atol=1e-6)
    asked_of_all = 4 * 1.0 + 1.0
    along = 4 * 4 / (4 + LAMBDA) + 1 / (1 + LAMBDA)
    factor = 1.2 * asked_of_all / along
    mean = (1.2 * (1 + LAMBDA) * (both - e[0]) + factor * (2 * (opposite - e[0]) + both - e[0])) / (4 + LAMBDA)
    torch.testing.assert_close(found[:, 0], mean, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("count", [2, 20], ids=["dual", "primal"])
def test_a_single_pair_is_carried_whole(count):
    """With what erasing asks for beside it: all times one number."""
    parts = [replace(part, pair=0) for part in problem(count)[:3]] + problem(count)[4:]
    alone = change(parts, [1] * 5)
    expected = alone * 1.2 / progress(alone, parts[:4])
    assert (solved(parts).context_map.change() - expected).norm() < 1e-6 * expected.norm()


def test_the_columns_of_a_recipe_say_which_pair_they_are_of():
    def encoded(text):
        rows = tokens(4, sum(map(ord, text))).source
        return EncodedPrompt(("<", *text[-2:], ">"), (Chunk(0, range(1, 3), 4),), rows)

    recipe = parse_recipe("a rose -> a blue rose\na cat -> a dog", preserve=("a bee",))
    parts = parts_of(recipe, {prompt: encoded(prompt) for prompt in recipe.prompts()})
    assert [part.pair for part in parts] == [0] * 4 + [1] * 4 + [None]
