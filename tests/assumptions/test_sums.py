"""Many columns by their sums, and what of a map may be left out."""

import math

import pytest
import torch
from edit_assumption.benchmarks.inputs import KINDS
from edit_assumption.editing.assumptions import principal as module
from edit_assumption.editing.assumptions import sums
from edit_assumption.editing.assumptions.closed_form import solve, token_scale
from edit_assumption.editing.assumptions.principal import principal
from edit_assumption.editing.assumptions.prompt_pair import PromptPair
from edit_assumption.editing.assumptions.recipe import Recipe
from edit_assumption.editing.assumptions.sums import Sums
from edit_assumption.editing.assumptions.token_columns import Columns, blocks, parts_of
from edit_assumption.editing.encoding import Chunk, EncodedPrompt


def relative(found, expected):
    return float((found - expected).norm() / expected.norm())


def mixed_columns(tokens, width, seed=0):
    """Of all weights and strengths, every fifth token preserved."""
    generator = torch.Generator().manual_seed(seed)
    source, destination = torch.randn(2, tokens, width, generator=generator)
    destination[::5] = source[::5]
    strength, weight = torch.rand(2, tokens, generator=generator, dtype=torch.float64) + 0.5
    return Columns(source, destination, strength, weight)


def test_sums_over_blocks_are_those_over_all(monkeypatch):
    monkeypatch.setattr(sums, "_ROWS_AT_ONCE", 32)
    columns = mixed_columns(150, 20)
    found = Sums.of([Columns(*(side[rows] for side in vars_of(columns))) for rows in (slice(0, 7), slice(7, 150))])
    tokens, shift, weight = columns.source.double(), columns.shift(), columns.weight[:, None]
    changes = shift.abs().amax(dim=1) > 0
    assert torch.equal(found.changes, changes) and int(changes.sum()) == 120
    assert relative(found.whole, tokens.T @ (weight * tokens)) < 1e-14
    assert relative(found.edited, (tokens.T @ (weight * changes[:, None] * tokens))) < 1e-14
    assert relative(found.cross, tokens.T @ (weight * shift)) < 1e-14
    assert relative(found.asked, (weight * shift.square()).sum(dim=0)) < 1e-14


def vars_of(columns):
    return columns.source, columns.destination, columns.strength, columns.weight


@pytest.mark.parametrize("kind", KINDS)
def test_rounding_over_kinds_of_tokens(kind):
    """Float64 to the last digit of float32's factors."""
    columns, width = KINDS[kind](320, 256), 256
    tokens, strength = columns.source.double(), 0.1 * token_scale(columns)
    system = tokens.T @ tokens + strength * torch.eye(width, dtype=torch.float64)
    best = torch.linalg.solve(system, tokens.T @ columns.shift()).T
    context_map = solve(columns, strength, scaled=False).context_map
    assert relative(context_map.left.double() @ context_map.right.double(), best) < 3e-7


def test_blocks_join_and_cut():
    columns = mixed_columns(25, 3)
    again = list(blocks([Columns(*(side[rows] for side in vars_of(columns))) for rows in (slice(0, 3), slice(3, 25))], 10))
    assert [len(block) for block in again] == [13, 10, 2]
    assert torch.equal(torch.cat([block.source for block in again]), columns.source)


def test_columns_of_a_recipe_are_views_of_its_embeddings():
    rows = {text: torch.randn(6, 8) for text in ("a cat", "a dog")}
    tokens = ("<s>", "a", "x", "<e>", "<e>", "<e>")
    encoded = {text: EncodedPrompt(tokens, (Chunk(0, range(1, 3), 6),), row) for text, row in rows.items()}
    (part,) = parts_of(Recipe((PromptPair("a cat", "a dog", augmentations=()),)), encoded)
    assert part.source.data_ptr() == rows["a cat"].data_ptr() and part.destination.data_ptr() == rows["a dog"].data_ptr()


def falling(width, rank, rate, seed=0):
    """(rank, width), of singular values that fall by ``rate``, and the matrix that it is the root of."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(width, rank, generator=generator, dtype=torch.float64)).Q
    return (rate ** torch.arange(rank).double())[:, None] * basis.T


@pytest.mark.parametrize("width", [64, 512], ids=["all at once", "by iteration"])
@pytest.mark.parametrize("tolerance", [1e-1, 1e-2, 1e-3])
def test_the_fewest_directions_are_found(width, tolerance):
    root = falling(width, 60, 0.7)
    basis = principal(root, root, tolerance)
    sizes = torch.linalg.svdvals(root)
    lost = (root - (root @ basis) @ basis.T).norm() / root.norm()
    assert float(lost) <= tolerance * (1 + 1e-6)
    assert float(sizes[basis.shape[1] - 1 :].norm() / sizes.norm()) > tolerance  # one fewer would not do
    assert torch.allclose(basis.T @ basis, torch.eye(basis.shape[1], dtype=torch.float64), atol=1e-10)


def test_more_directions_than_were_tried_first_are_found_in_a_second_try(monkeypatch):
    monkeypatch.setattr(module, "_FIRST", 4)
    root = falling(1024, 200, 0.9)
    assert 60 < principal(root, root, 1e-3).shape[1] < 80


def test_what_does_not_fall_is_not_cut():
    root = falling(512, 300, 1.0)
    assert principal(root, root, 1e-3) is None


@pytest.mark.parametrize("tokens", [60, 400], ids=["dual", "primal"])
def test_a_tolerance_costs_the_objective_its_square(tokens):
    width, rank = 96, 12
    generator = torch.Generator().manual_seed(tokens)
    source = torch.randn(tokens, width, generator=generator)
    shift = (
        torch.randn(tokens, rank, generator=generator)
        * 0.3 ** torch.arange(rank)
        @ torch.randn(rank, width, generator=generator)
    )
    columns = Columns.of(source, source + shift)
    moment = torch.diag(torch.linspace(0.5, 2, width, dtype=torch.float64))
    whole, short = (solve(columns, 3.0, moment=moment, tolerance=tolerance) for tolerance in (0.0, 1e-2))
    assert short.context_map.rank < 8 < whole.context_map.rank

    def objective(solution):
        change = solution.context_map.change().double()
        missed = source.double() @ change.T - columns.shift()
        return float(
            (missed.square() / moment.diagonal()).sum()
            + 3 * ((change @ moment @ change.T).diagonal() / moment.diagonal()).sum()
        )

    change = whole.context_map.change().double()
    system = source.double().T @ source.double() + 3 * moment
    size = float(((change @ system @ change.T).diagonal() / moment.diagonal()).sum())
    assert 0 < objective(short) - objective(whole) <= 1e-4 * size
    assert short.residual > whole.residual  # it is that of the map that is used


@pytest.mark.parametrize("width", [1, 2, 3, 7])
def test_sums_of_any_width(width):
    columns = mixed_columns(30, width)
    with torch.device("meta"):  # what is made without a word of where goes elsewhere here, and fits nothing
        found = Sums.of([columns])
    tokens, shift, weight = columns.source.double(), columns.shift(), columns.weight[:, None]
    assert relative(found.whole, tokens.T @ (weight * tokens)) < 1e-14
    assert torch.equal(found.whole, found.whole.T) and torch.equal(found.edited, found.edited.T)
    assert relative(found.cross, tokens.T @ (weight * shift)) < 1e-14
    assert {entry.dtype for entry in (found.whole, found.edited, found.cross, found.asked)} == {torch.float64}


def test_sums_of_what_is_all_edited():
    columns = Columns.of(*torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0)))
    found = Sums.of([columns])
    assert torch.equal(found.whole, found.edited) and found.changes.all()


@pytest.mark.parametrize("width", [256, 257], ids=["all at once", "by iteration"])
def test_directions_of_a_product_of_two(width):
    """left^T right = A D A^T from two factors that differ, and where the last direction lies at the tolerance."""
    generator = torch.Generator().manual_seed(3)
    vectors = torch.linalg.qr(torch.randn(width, 4, generator=generator, dtype=torch.float64)).Q
    energy = torch.tensor([16.0, 4.0, 1.0, 0.25]).double()
    root = vectors.T * energy.sqrt()[:, None]
    left, right = torch.cat([2 * root, torch.zeros(20, width)]), torch.cat([0.5 * root, torch.zeros(20, width)])
    for tolerance, rank in ((0.5, 1), (0.3, 2), (0.2, 3), (0.1, 4), (1e-6, 4)):
        basis = principal(left, right, tolerance)
        assert basis.shape == (width, rank)
        assert torch.allclose((basis.T @ vectors[:, :rank]).abs(), torch.eye(rank).double(), atol=1e-6)


def test_a_large_width_with_too_many_directions_is_left_whole(monkeypatch):
    monkeypatch.setattr(module, "_FIRST", 100)
    rest = torch.zeros(76, 300, dtype=torch.float64)
    for count, rows, found in ((76, 76, False), (75, 76, True), (76, 0, False), (40, 39, False), (40, 40, True)):
        root = torch.cat([falling(300, count, 1.0), rest[:rows]])  # of 300 a quarter is 75, of 80 rows half is 40
        basis = principal(root, root, 1e-6)
        assert (basis is not None) == found and (not found or basis.shape == (300, count))
    assert principal(root[:1], root[:1], 1e-6) is None


def test_a_small_width_has_all_directions():
    root = falling(8, 8, 1.0)
    assert principal(root, root, 1e-9).shape == (8, 8)


def tried(monkeypatch, first, energy, tolerance, width):
    """How many directions of a product with these energies are looked for, time after time."""
    counts = []

    def leading(energy, vectors, total, tolerance, plain=module._leading):
        counts.append(len(energy))
        return plain(energy, vectors, total, tolerance)

    with monkeypatch.context() as context:
        context.setattr(module, "_FIRST", first)
        context.setattr(module, "_leading", leading)
        root = torch.zeros(width, width, dtype=torch.float64)
        root.diagonal()[: len(energy)] = energy.sqrt()
        found = principal(root, root, tolerance)
    return counts, None if found is None else found.shape[1]


def test_as_many_more_directions_are_tried_as_it_takes(monkeypatch):
    """What is left falls to ``lost`` over the first ones; to fall to the tolerance's square takes so many times as many."""
    energy = torch.tensor([1.0] * 6 + [0.00864] * 34).double()
    counts = [6]
    while (lost := float(energy[counts[-1] :].sum() / energy.sum())) > 0.1**2:
        counts.append(math.ceil(1.25 * counts[-1] * 2 * math.log(0.1) / math.log(lost)))
    assert counts == [6, 12, 22, 35] and tried(monkeypatch, 6, energy, 0.1, 300) == (counts, 33)
    # Of 60 alike 15 leave three quarters, for a share of 0.563² it takes 3.994 times as many: 75, a quarter of the width.
    assert tried(monkeypatch, 15, torch.ones(60).double(), 0.563, 300) == ([15, 75], 41)
    # One of 1100 leaves more than 0.999, which counts as 0.999, so that the guess stays finite.
    assert tried(monkeypatch, 1, torch.ones(1100).double(), 0.9, 1100) == ([1, 264], 209)


def test_what_is_lost_may_be_the_tolerance_itself():
    root = torch.diag(torch.tensor([4.0, 3.0]).double())
    assert principal(root, root, 0.6).shape == (2, 1)


def test_the_same_directions_every_time():
    root, found = falling(300, 40, 0.7), []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append(principal(root, root, 0.1))
    assert torch.equal(*found)


def test_a_map_of_nearly_all_directions_is_kept_as_it_stands():
    """The decomposition of a large one would take longer than its solve."""
    columns = Columns.of(*torch.randn(2, 400, 300, generator=torch.Generator().manual_seed(0)))
    whole, exact = (solve(columns, 0.1, tolerance=tolerance).context_map for tolerance in (1e-6, 0.0))
    assert torch.equal(whole.right, torch.eye(300)) and relative(whole.change(), exact.change()) < 1e-5


@pytest.mark.parametrize("weight", [0.25, 1.0, 4.0])
def test_sums_of_columns_that_share_a_weight(weight):
    columns = Columns.of(*torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(0)), weight=weight)
    tokens = columns.source.double()
    found = Sums.of([columns])
    assert relative(found.whole, weight * tokens.T @ tokens) < 1e-14
    assert relative(found.cross, weight * tokens.T @ columns.shift()) < 1e-14
