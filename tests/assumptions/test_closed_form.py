"""The solve against the formula as the papers print it, and against answers worked by hand."""

import pytest
import torch
from edit_assumption.editing.assumptions.carry import Carried
from edit_assumption.editing.assumptions.closed_form import solve, token_scale
from edit_assumption.editing.assumptions.context_map import weight_change
from edit_assumption.editing.assumptions.prompt_pair import PromptPair
from edit_assumption.editing.assumptions.reach import reach
from edit_assumption.editing.assumptions.recipe import Recipe
from edit_assumption.editing.assumptions.token_columns import Columns, columns_of, equal_tokens
from edit_assumption.editing.encoding import Chunk, EncodedPrompt
from edit_assumption.editing.errors import EditError
from hypothesis import given, settings
from hypothesis import strategies as st

E1, E2, E3, E4 = torch.eye(4)


def rows(*vectors):
    return torch.stack(vectors)


def random_columns(tokens, width, seed=0, spread=None):
    """Random tokens and targets of norm² about width; with a ``spread``, all close to one vector."""
    generator = torch.Generator().manual_seed(seed)
    source, destination = torch.randn(2, tokens, width, generator=generator)
    if spread is not None:
        base = torch.randn(width, generator=generator)
        source, destination = base + spread * source, base + spread * destination
    return Columns.of(source, destination)


def direct(columns, regularization):
    """M - I = E D C^T (C D C^T + lambda I)^-1 in float64, without any of the library's steps."""
    tokens, weight = columns.source.double().T, columns.weight.double()
    error = columns.strength.double() * (columns.destination.double() - columns.source.double()).T
    moment = (tokens * weight) @ tokens.T + regularization * torch.eye(len(tokens), dtype=torch.float64)
    return torch.linalg.solve(moment, (tokens * weight) @ error.T).T


def relative(found, expected):
    return float((found.double() - expected).norm() / expected.norm())


def dense_change(solution):
    return solution.context_map.left.double() @ solution.context_map.right.double()


SIZES = [(768, 150), (768, 768), (768, 900), (1024, 120), (1024, 1100), (2048, 120)]


@pytest.mark.parametrize(
    ("width", "tokens", "spread"),
    [(*size, spread) for size in SIZES for spread in (None, 1e-3)] + [(4096, 60, 1e-3)],
)
def test_edited_weight_is_the_float64_optimum(width, tokens, spread):
    columns = random_columns(tokens, width, spread=spread)
    weight = torch.randn(8, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    context_map = solve(columns, 0.1, scaled=False).context_map
    assert relative(weight_change(weight, context_map.left, context_map.right), weight @ direct(columns, 0.1)) < 1e-6


def test_float32_inverse_would_fail_the_same_comparison():
    """The tolerance above tells a solve in float64 from one in float32."""
    columns = random_columns(300, 768, spread=1e-3)
    tokens = columns.source.T
    moment = tokens @ tokens.T + 0.1 * torch.eye(768)
    change = (columns.destination - columns.source).T @ tokens.T @ torch.linalg.inv(moment)
    assert relative(change, direct(columns, 0.1)) > 1e-4


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    tokens=st.integers(1, 14),
    width=st.integers(2, 10),
    seed=st.integers(0, 2**32),
    regularization=st.floats(1e-3, 1e3),
    copies=st.integers(0, 3),
)
def test_any_small_problem_is_the_direct_formula(tokens, width, seed, regularization, copies):
    generator = torch.Generator().manual_seed(seed)
    source, destination = torch.randn(2, tokens, width, generator=generator)
    source = torch.cat([source, source[:1].expand(copies, width)])
    destination = torch.cat([destination, torch.randn(copies, width, generator=generator)])
    strength = torch.rand(len(source), generator=generator, dtype=torch.float64) + 0.5
    weight = torch.rand(len(source), generator=generator, dtype=torch.float64) + 0.1
    columns = Columns(source, destination, strength, weight)
    expected = direct(columns, regularization)
    assert relative(dense_change(solve(columns, regularization, scaled=False)), expected) < 1e-5


def matches(columns, regularization, expected):
    torch.testing.assert_close(solve(columns, regularization, scaled=False).context_map.dense(), torch.tensor(expected))


def test_one_token_becomes_another():
    matches(
        Columns.of(rows(E1), rows(E2)),
        0.25,  # 1 / (1 + 0.25) of the way from e1 to e2
        [[0.2, 0.0, 0.0, 0.0], [0.8, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]],
    )


def test_longer_token_is_followed_further():
    matches(
        Columns.of(rows(2 * E1), rows(E3)),
        1.0,  # (e3 - 2 e1) 2 / (4 + 1)
        [[0.2, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.4, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]],
    )


def test_edited_beside_preserved_token():
    matches(
        Columns.of(rows(E1, E1 + E2), rows(E1 + E3, E1 + E2)),
        1.0,  # the inverse of [[2, 1], [1, 3]] is [[3, -1], [-1, 2]] / 5, so e3 (3 e1 - (e1 + e2)) / 5
        [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.4, -0.2, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]],
    )


def test_five_tokens_in_four_dimensions():
    tokens = rows(E1, E2, E3, E4, E1 + E2)
    matches(
        Columns.of(tokens, torch.cat([tokens[:4], rows(E1 + E2 + E4)])),
        1.0,  # C C^T + I = [[3, 1], [1, 3]] on e1, e2; e4 (e1 + e2) times its inverse is e4 (e1 + e2) / 4
        [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.25, 0.25, 0.0, 1.0]],
    )


def test_weighted_token():
    matches(
        Columns.of(rows(E1), rows(E2), weight=3.0),
        1.0,  # 3 / (3 + 1)
        [[0.25, 0.0, 0.0, 0.0], [0.75, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]],
    )


def test_conflicting_targets_of_one_token_meet_at_their_weighted_mean():
    columns = Columns(rows(E1, E1), rows(E2, E3), torch.ones(2).double(), torch.tensor([1.0, 3.0]).double())
    matches(
        columns,
        1.0,  # 4 / (4 + 1) of the way from e1 to e2 / 4 + 3 e3 / 4
        [[0.2, 0.0, 0.0, 0.0], [0.2, 1.0, 0.0, 0.0], [0.6, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]],
    )


@pytest.mark.parametrize("width", [32, 8], ids=["dual", "primal"])
def test_integer_weight_counts_as_copies(width):
    once = random_columns(10, width)
    weighted = Columns(once.source, once.destination, once.strength, torch.tensor([3.0, *[1.0] * 9]).double())
    copied = Columns.joined([once, Columns.of(once.source[:1].repeat(2, 1), once.destination[:1].repeat(2, 1))])
    found, expected = (dense_change(solve(columns, 0.5, scaled=False)) for columns in (weighted, copied))
    assert relative(found, expected) < 1e-6
    assert relative(dense_change(solve(once, 0.5, scaled=False)), expected) > 1e-3


@pytest.mark.parametrize("width", [64, 16], ids=["dual", "primal"])
def test_equal_tokens_with_conflicting_targets_are_the_unmerged_problem(width):
    part = random_columns(12, width)
    other = random_columns(12, width, seed=5)
    columns = Columns.joined([part, Columns.of(part.source[:6], other.destination[:6], strength=0.5, weight=2.5)])
    solution = solve(columns, 0.1, scaled=False)
    assert relative(dense_change(solution), direct(columns, 0.1)) < 1e-6
    assert solution.tokens == 12


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_equal_tokens_of_any_precision_are_one(dtype):
    rows = torch.randn(5, 64, generator=torch.Generator().manual_seed(0)).to(dtype)
    nearly = rows[:1].clone()
    nearly[0, 63] += 1  # in a coordinate that is not looked at first
    count, group = equal_tokens([rows, torch.cat([rows[1:3], nearly])])
    assert count == 6
    assert group[5:7].tolist() == group[1:3].tolist() and len(set(group.tolist())) == 6


@pytest.mark.parametrize("strength", [-1.0, 0.3, 2.0])
def test_strength_scales_the_solution(strength):
    full = random_columns(10, 32)
    partial = Columns.of(full.source, full.destination, strength)
    expected = solve(full, 0.2, scaled=False).context_map.scale(strength).dense()
    torch.testing.assert_close(solve(partial, 0.2, scaled=False).context_map.dense(), expected)


def prompt_of(embeddings):
    count = len(embeddings)
    return EncodedPrompt(("word</w>",) * count, (Chunk(0, range(count), count),), embeddings)


def test_preserved_tokens_move_less():
    edited = random_columns(8, 64)
    kept = edited.source + 0.3 * torch.randn(8, 64, generator=torch.Generator().manual_seed(3))
    alone = solve(edited, 0.1).context_map
    beside = solve(Columns.joined([edited, Columns.of(kept, kept)]), 0.1).context_map
    assert reach(beside, prompt_of(kept)) < 0.1 * reach(alone, prompt_of(kept))
    assert reach(beside, prompt_of(edited.source)) > 0.5 * reach(alone, prompt_of(edited.source))


@pytest.mark.parametrize("width", [64, 16], ids=["dual", "primal"])
def test_order_of_joint_edits_does_not_matter(width):
    parts = [random_columns(8, width, seed) for seed in range(3)]
    parts[1] = Columns.of(
        torch.cat([parts[1].source, parts[0].source[:2]]), torch.cat([parts[1].destination, parts[2].source[:2]])
    )
    forward, backward = (solve(Columns.joined(order), 0.1).context_map.dense() for order in (parts, parts[::-1]))
    torch.testing.assert_close(forward, backward, rtol=0, atol=1e-6)


def test_scaled_regularization_means_the_same_on_larger_embeddings():
    small = random_columns(30, 32)
    large = Columns.of(10 * small.source, 10 * small.destination)
    expected = dense_change(solve(small, 0.3))
    assert relative(dense_change(solve(large, 0.3)), expected) < 1e-6
    assert relative(dense_change(solve(large, 0.3, scaled=False)), expected) > 0.1


def test_token_scale_is_the_median_squared_norm_over_the_width():
    source = rows(E1, 2 * E2, 100 * E3)
    assert token_scale(Columns.of(source, source)) == 1.0
    assert solve(Columns.of(source, source + E4), 0.3).regularization == pytest.approx(0.3)
    assert solve(Columns.of(3 * source, source + E4), 0.3).regularization == pytest.approx(2.7)
    assert solve(Columns.of(3 * source, source + E4), 0.3, scaled=False).regularization == 0.3


@pytest.mark.parametrize("width", [64, 8], ids=["dual", "primal"])
def test_solution_reports_tokens_edited_and_residual(width):
    source, destination = torch.randn(2, 12, width, generator=torch.Generator().manual_seed(0))
    destination[4:] = source[4:]
    repeated = Columns.of(torch.cat([source, source[:2]]), torch.cat([destination, destination[:2]]))
    solution = solve(repeated, 5.0, scaled=False)
    moved = source.double() + source.double() @ direct(repeated, 5.0).T
    often = torch.tensor([2.0, 2.0, 1.0, 1.0]).sqrt()[:, None]  # as often as they were asked for
    missed = (often * (moved - destination)[:4]).norm() / (often * (destination - source)[:4]).norm()
    assert (solution.tokens, solution.edited) == (12, 4)
    assert solution.context_map.rank == 4
    assert solution.residual == pytest.approx(float(missed), rel=1e-5)
    assert 0.01 < solution.residual < 1


def test_weaker_regularization_leaves_less_undone():
    columns = random_columns(10, 64)
    residuals = [solve(columns, regularization).residual for regularization in (0.001, 0.1, 10.0, 1000.0)]
    assert residuals == sorted(residuals)
    assert residuals[0] < 1e-3
    assert residuals[-1] > 0.9


@pytest.mark.parametrize("width", [64, 8], ids=["dual", "primal"])
@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_nothing_to_change_is_refused(width, strength):
    columns = random_columns(10, width)
    destination = columns.source if strength else columns.destination
    with pytest.raises(EditError, match="would change nothing"):
        solve(Columns.of(columns.source, destination, strength))


@pytest.mark.parametrize("regularization", [0.0, -0.1, float("nan")])
def test_regularization_must_be_positive(regularization):
    with pytest.raises(EditError, match="greater than 0"):
        solve(random_columns(4, 8), regularization)


@pytest.mark.parametrize("width", [64, 8], ids=["dual", "primal"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("side", ["source", "destination"])
def test_embeddings_that_are_not_finite_never_give_a_map(width, bad, side):
    columns = random_columns(10, width)
    getattr(columns, side)[3, 1] = bad
    with pytest.raises(EditError, match=r"not finite|cannot be solved"):
        solve(columns)


def test_embeddings_that_are_not_finite_are_named():
    good, bad = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0))
    bad[2, 2] = float("nan")
    encoded = {"a rose": prompt_of(good), "a blue rose": prompt_of(bad)}
    for source, destination in (("a rose", "a blue rose"), ("a blue rose", "a rose")):
        with pytest.raises(EditError, match="text encoder gave numbers that are not finite"):
            columns_of(Recipe((PromptPair(source, destination, augmentations=()),)), encoded)


def test_recipe_without_active_pair_is_refused():
    with pytest.raises(EditError, match="strength 0"):
        columns_of(Recipe((PromptPair("a rose", "a blue rose", strength=0),)), {})


@pytest.mark.parametrize(("width", "tokens"), [(32, 8), (32, 90)], ids=["dual", "primal"])
def test_second_moment_in_place_of_the_identity(width, tokens):
    columns = random_columns(tokens, width)
    factor = torch.randn(width, 3 * width, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    moment = factor @ factor.T
    source, error = columns.source.double().T, (columns.destination - columns.source).double().T
    expected = torch.linalg.solve(source @ source.T + 0.5 * moment, source @ error.T).T
    assert relative(dense_change(solve(columns, 0.5, moment=moment)), expected) < 1e-6
    assert relative(dense_change(solve(columns, 0.0005, moment=1000 * moment)), expected) < 1e-6
    identity = dense_change(solve(columns, 0.5, scaled=False, moment=torch.eye(width)))
    assert relative(dense_change(solve(columns, 0.5, scaled=False)), identity) < 1e-6


@pytest.mark.parametrize("tolerance", [0.0, 1e-3], ids=["exact", "short"])
@pytest.mark.parametrize(("width", "tokens"), [(32, 8), (32, 90)], ids=["dual", "primal"])
def test_a_solution_is_carried_as_far_as_asked_and_that_is_counted(width, tokens, tolerance):
    columns = random_columns(tokens, width)
    plain, carried, little = (
        solve(columns, 3.0, tolerance=tolerance, carried=how)
        for how in (None, Carried(reach=1.2, most=99.0), Carried(reach=1.2, most=1.1))
    )
    asked = columns.shift()
    moved = columns.source.double() @ dense_change(carried).T
    assert float((moved * asked).sum() / asked.square().sum()) == pytest.approx(1.2, rel=1e-4)
    factor = float(dense_change(carried).norm() / dense_change(plain).norm())
    assert relative(dense_change(carried), factor * dense_change(plain)) < 1e-6
    assert relative(dense_change(little), 1.1 * dense_change(plain)) < 1e-6
    assert carried.residual == pytest.approx(relative(moved, asked), rel=1e-4)


def test_two_targets_of_one_token_are_carried_as_their_mean_is():
    """Not as far as either of both, of which the mean goes no way at all where they lie opposite."""
    both = Columns.joined([Columns.of(rows(E1), rows(E1 + 2 * E2 + E3)), Columns.of(rows(E1), rows(E1 - 2 * E2 + E3))])
    found = solve(both, 0.5, scaled=False, carried=Carried(reach=1.2, most=99.0))
    moved = found.context_map.apply(rows(E1).double()) - rows(E1).double()
    torch.testing.assert_close(moved, 1.2 * rows(E3).double(), rtol=1e-5, atol=1e-6)


def test_what_goes_against_what_was_asked_is_carried_no_further_than_allowed():
    assert Carried(reach=1.2, most=1.5).factor(along=-1.0, asked=1.0) == 1.5


def test_second_moment_protects_what_prompts_use():
    """Two tokens share e1; prompts use e1 alone, so the edit is laid on what is left of the edited one."""
    columns = Columns.of(rows(E1 + E2), rows(E1 + E2 + E3))
    moment = torch.diag(torch.tensor([100.0, 1.0, 1.0, 1.0]))
    other = rows(E1).double()
    plain, protected = (solve(columns, 0.1, moment=prior).context_map for prior in (None, moment))
    assert float((plain.apply(other) - other).norm()) > 20 * float((protected.apply(other) - other).norm())


def conflicting(tokens, width):
    """Two parts of all weights and strengths: some tokens stay, some stand in both parts with another target."""
    generator = torch.Generator().manual_seed(tokens)
    source, destination, other = torch.randn(3, tokens, width, generator=generator)
    destination[::4] = source[::4]
    strength, weight = torch.rand(2, tokens, generator=generator, dtype=torch.float64) + 0.5
    answers = torch.arange(tokens).flip(0)
    first = Columns(source, destination.flip(0), strength, weight, answers)
    return [first, Columns(source[2:6], other[2:6], strength[4:8], weight[7:11])]


@pytest.mark.parametrize("moment", [False, True], ids=["identity", "moment"])
@pytest.mark.parametrize(("tokens", "width"), [(14, 40), (40, 14)], ids=["dual", "primal"])
def test_the_residual_is_what_a_better_map_could_do(tokens, width, moment):
    """By coordinates in the moment's units, without the distance of conflicting targets from their weighted mean."""
    parts = conflicting(tokens, width)
    prior = None
    if moment:
        factor = torch.randn(width, 3 * width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        prior = factor @ factor.T * torch.linspace(0.1, 3, width).outer(torch.linspace(0.1, 3, width))
    solution = solve(parts, 2.0, scaled=False, moment=prior)
    whole = Columns.joined(parts)
    source, shift, weight = whole.source.double(), whole.shift(), whole.weight[:, None]
    system = source.T @ (weight * source) + 2.0 * (torch.eye(width).double() if prior is None else prior)
    change = torch.linalg.solve(system, source.T @ (weight * shift)).T
    assert relative(dense_change(solution), change) < 1e-5
    unit = torch.ones(width).double() if prior is None else prior.diagonal().sqrt()
    edited = shift.norm(dim=1) > 0

    def cost(missed):
        return float((weight * (missed / unit).square())[edited].sum())

    least = shift.clone()
    for here, again in enumerate(range(tokens, tokens + 4), start=2):
        if edited[here]:
            pair = torch.tensor([here, again])
            least[pair] = (weight[pair] * shift[pair]).sum(0) / weight[pair].sum()
    mean = cost(least - shift)
    expected = (cost(source @ change.T - shift) - mean) / (cost(shift) - mean)
    assert solution.residual == pytest.approx(expected**0.5, rel=1e-5)
    assert solution.edited == int((whole.shift()[:tokens].norm(dim=1) > 0).sum()) + int(not edited[4])
    assert solution.tokens == tokens and solution.regularization == 2.0


@pytest.mark.parametrize("tolerance", [0.0, 1e-2])
@pytest.mark.parametrize("moment", [False, True], ids=["identity", "moment"])
@pytest.mark.parametrize(("tokens", "width"), [(14, 40), (40, 14), (300, 264)], ids=["dual", "primal", "iterated"])
def test_everything_is_made_where_the_embeddings_are(tokens, width, moment, tolerance):
    """What is made without a word of where goes elsewhere here, and fits nothing."""
    parts = conflicting(tokens, width)
    settings = {"protected": torch.randn(3, width, generator=torch.Generator().manual_seed(2)), "tolerance": tolerance}
    if moment:
        factor = torch.randn(width, 3 * width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        settings["moment"] = factor @ factor.T
    plain = solve(parts, 2.0, **settings)
    with torch.device("meta"):
        found = solve(parts, 2.0, **settings)
    assert torch.equal(found.context_map.left, plain.context_map.left) and found.residual == plain.residual
    assert found.context_map.left.device.type == "cpu"


def test_opposite_targets_of_one_token_leave_all_undone():
    """Their mean is the token itself: no map could do any of what was asked."""
    solution = solve(Columns.of(rows(E1, E1, E2), rows(E1 + E2, E1 - E2, E2)), 1.0)
    assert solution.residual == 1.0 and float(dense_change(solution).norm()) < 1e-12
    assert (solution.tokens, solution.edited) == (2, 1)


@pytest.mark.parametrize("tokens", [1, 6], ids=["dual", "primal"])
def test_room_beside_what_is_strictly_protected(tokens):
    """Of the edited token's length, 1, a share of 0.01 is free: enough; 0.0005 is not."""
    kept = [0.01 * (E2 + E3)] * (tokens - 1)
    for share, enough in ((0.01, True), (0.0005, False)):
        columns = Columns.joined([Columns.of((E1 + share * E2)[None], (E1 + E3)[None]), Columns.of(rows(*kept), rows(*kept))]
                                 if kept else [Columns.of((E1 + share * E2)[None], (E1 + E3)[None])])  # fmt: skip
        if enough:
            assert solve(columns, 1e-6, protected=E1[None]).context_map.rank == 1
        else:
            with pytest.raises(EditError) as caught:
                solve(columns, 1e-6, protected=E1[None])
            assert str(caught.value) == (
                "The edit would change nothing: its source is strictly preserved; take it out of that list."
            )


def test_sentences_of_the_solve():
    stays = Columns.of(rows(E1, E2), rows(E1, E2))
    for columns, regularization, sentence in (
        (stays, 1.0, "The edit would change nothing: the text encoder sees the same in source and destination."),
        (random_columns(2, 4), 0.0, "The regularization is 0; give a number greater than 0."),
        (Columns.of(rows(float("nan") * E1), rows(E2)), 1.0, "The edit cannot be solved: raise the regularization."),
    ):
        with pytest.raises(EditError) as caught:
            solve(columns, regularization, scaled=False)
        assert str(caught.value) == sentence


def test_the_token_scale_of_half_precision_does_not_overflow():
    source = torch.full((2, 768), 200.0, dtype=torch.float16)
    assert token_scale(Columns.of(source, source)) == 40000.0


def test_tiny_tokens_against_a_tiny_regularization():
    """Below all that float32 can hold: 1e-50 / (1e-50 + 1e-50) of the way."""
    source, shift = 1e-25 * E1.double(), 1e-25 * E2.double()
    for tokens in (1, 5):
        columns = Columns.of(source.repeat(tokens, 1), (source + shift).repeat(tokens, 1), weight=1 / tokens)
        change = solve(columns, 1e-50, scaled=False).context_map.change()
        assert torch.allclose(change, 0.5 * torch.outer(E2, E1), atol=1e-6)


@pytest.mark.parametrize("kept", [0, 5], ids=["dual", "primal"])
def test_short_tokens_and_zeros_beside_what_is_strictly_protected(kept):
    more = [Columns.of(rows(E3), rows(E3))] * kept
    short = [Columns.of(rows(0.5 * E1), rows(0.5 * E1 + E4)), *more]
    assert solve(short, 1e-3, scaled=False, protected=rows(E2)).context_map.rank == 1
    nothing = [Columns.of(rows(0 * E1), rows(E4)), *more]
    with pytest.raises(EditError, match="strictly preserved"):
        solve(nothing, 1e-3, scaled=False, protected=rows(E2))
    with pytest.raises(EditError) as caught:
        solve(nothing, 1e-3, scaled=False)
    assert str(caught.value) == "The edit would change nothing: lower the regularization or raise the strength."


@pytest.mark.parametrize("more", [[], [E2, E3, E4, 2 * E4]], ids=["dual", "primal"])
def test_residuals_by_hand(more):
    """A half of the way; and of a token with two targets beside itself, a quarter of the way to each, of half that can be."""
    kept = [Columns.of(rows(*more), rows(*more))] if more else []
    assert solve([Columns.of(rows(E1), rows(E1 + E2)), *kept], 1.0, scaled=False).residual == pytest.approx(0.5)
    thrice = Columns.of(rows(E1, E1, E1), rows(E1 + E2, E1 + E3, E1))
    solution = solve([thrice, *kept], 1.0, scaled=False)
    assert torch.allclose(solution.context_map.change(), torch.outer(E2 + E3, E1) / 4, atol=1e-6)
    # Squared: each is 10/16 away, of which 1/2 no map can do; 1 was asked of each, of which the same.
    assert solution.residual == pytest.approx(((10 / 16 - 1 / 2) / (1 - 1 / 2)) ** 0.5)


@pytest.mark.parametrize(
    ("along", "asked", "factor"),
    [(1.0, 1.0, 1.2), (0.9, 1.0, 1.2 / 0.9), (0.5, 1.0, 1.5), (0.0, 1.0, 1.5), (2.0, 1.0, 0.6)],
    ids=["as asked", "less", "much less", "not at all", "further"],
)
def test_how_far_a_solution_is_carried(along, asked, factor):
    assert Carried(reach=1.2, most=1.5).factor(along, asked) == pytest.approx(factor)
