"""ContextMap: every way of applying it is the same matrix product."""

import pytest
import torch
from edit_assumption.editing.assumptions.context_map import ContextMap, mapped_context, weight_change
from edit_assumption.editing.errors import EditError


def random_map(width=32, rank=5, seed=0, size=1.0):
    generator = torch.Generator().manual_seed(seed)
    left, right = torch.randn(width, rank, generator=generator), torch.randn(rank, width, generator=generator)
    return ContextMap(size * left / width, right)


def random_weight(out=24, width=32, dtype=torch.float32):
    return (torch.randn(out, width, generator=torch.Generator().manual_seed(9)) / width**0.5).to(dtype)


def matrix(context_map):
    """M in float64, from the definition I + L R."""
    return torch.eye(context_map.width).double() + context_map.left.double() @ context_map.right.double()


def test_dense_is_identity_plus_product():
    left, right = torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0, -1.0]])
    assert ContextMap(left, right).dense().tolist() == [[4.0, -1.0], [6.0, -1.0]]
    assert ContextMap(left, right).change().tolist() == [[3.0, -1.0], [6.0, -2.0]]


@pytest.mark.parametrize("shape", [(32,), (7, 32), (2, 77, 32)])
def test_apply_multiplies_every_token(shape):
    context_map = random_map()
    tokens = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    moved = context_map.apply(tokens)
    assert moved.shape == shape
    torch.testing.assert_close(moved, (tokens.double() @ matrix(context_map).T).float())


def assert_rounded_once(found, exact):
    """Each number is within half a step of its type, and what float32 adds to that."""
    step = torch.finfo(found.dtype).eps if found.dtype.itemsize < 4 else 0.0
    smallest = torch.finfo(found.dtype).smallest_normal * step
    assert ((found.double() - exact).abs() <= 0.51 * (step * exact.abs() + smallest) + 1e-6).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_apply_keeps_the_type_of_the_tokens(dtype):
    context_map = random_map()
    tokens = torch.randn(7, 32, generator=torch.Generator().manual_seed(1)).to(dtype)
    moved = context_map.apply(tokens)
    assert moved.dtype == dtype
    assert_rounded_once(moved, tokens.double() @ matrix(context_map).T)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_apply_to_weight_is_the_product_rounded_once(dtype):
    context_map, weight = random_map(), random_weight(dtype=dtype)
    edited = context_map.apply_to_weight(weight)
    assert edited.dtype == dtype
    assert_rounded_once(edited, weight.double() @ matrix(context_map))


def test_weight_change_is_the_difference():
    context_map, weight = random_map(), random_weight()
    change = weight.double() @ matrix(context_map) - weight.double()
    torch.testing.assert_close(weight_change(weight, context_map.left, context_map.right), change.float())


def test_mapped_context_at_a_strength_lies_between():
    context_map = random_map()
    tokens = torch.randn(7, 32, generator=torch.Generator().manual_seed(1))
    moved = mapped_context(tokens, context_map.left, context_map.right, 0.25)
    torch.testing.assert_close(moved, torch.lerp(tokens, context_map.apply(tokens), 0.25))


def test_edited_input_gives_what_the_edited_weight_gives():
    context_map = random_map()
    layer = torch.nn.Linear(32, 24, bias=False)
    layer.weight = torch.nn.Parameter(random_weight())
    tokens = torch.randn(2, 77, 32, generator=torch.Generator().manual_seed(1))
    edited = torch.nn.functional.linear(tokens, context_map.apply_to_weight(layer.weight))
    plain = layer(tokens)
    layer.register_forward_pre_hook(lambda _, inputs: (context_map.apply(inputs[0]),))
    torch.testing.assert_close(layer(tokens), edited, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(plain, edited, atol=0.01)


def test_compose_applies_the_first_edit_first():
    first, later, weight = random_map(seed=1), random_map(seed=2, rank=3), random_weight()
    both = first.compose(later)
    torch.testing.assert_close(both.apply_to_weight(weight), later.apply_to_weight(first.apply_to_weight(weight)))
    torch.testing.assert_close(both.dense(), (matrix(first) @ matrix(later)).float())
    assert (both.dense() - later.compose(first).dense()).abs().max() > 1e-3
    assert both.rank == 8


def test_compose_of_more_directions_than_the_width_has():
    maps = [random_map(width=8, rank=5, seed=seed) for seed in range(3)]
    chained = maps[0].compose(maps[1]).compose(maps[2])
    torch.testing.assert_close(chained.dense(), (matrix(maps[0]) @ matrix(maps[1]) @ matrix(maps[2])).float())
    assert chained.rank == 8


@pytest.mark.parametrize("strength", [-1.0, 0.0, 0.5, 2.0])
def test_scale_scales_the_change(strength):
    context_map = random_map()
    expected = torch.eye(32).double() + strength * (matrix(context_map) - torch.eye(32))
    torch.testing.assert_close(context_map.scale(strength).dense(), expected.float())


def falling_map(width=48, rank=20):
    """Singular values of M - I from 1 down to 2^-19."""
    generator = torch.Generator().manual_seed(4)
    left, _ = torch.linalg.qr(torch.randn(width, rank, generator=generator))
    right, _ = torch.linalg.qr(torch.randn(width, rank, generator=generator))
    return ContextMap(left * 0.5 ** torch.arange(rank), right.T.contiguous())


@pytest.mark.parametrize(("tolerance", "rank"), [(0.6, 1), (0.3, 2), (0.1, 4), (0.01, 7), (1e-4, 14)])
def test_truncate_gives_the_lowest_rank_within_the_tolerance(tolerance, rank):
    context_map = falling_map()
    shorter = context_map.truncate(tolerance)
    change = context_map.change().double()
    assert shorter.rank == rank
    assert float((shorter.change() - change).norm() / change.norm()) <= tolerance
    sizes = torch.linalg.svdvals(change)
    assert sizes[rank - 1 :].norm() / sizes.norm() > tolerance


def test_truncate_at_no_tolerance_changes_nothing():
    context_map = random_map()
    torch.testing.assert_close(context_map.truncate(0.0).dense(), context_map.dense())


@pytest.mark.parametrize("inner", [3, 40], ids=["low rank", "full rank"])
def test_from_product_has_orthogonal_factors_by_falling_size(inner):
    generator = torch.Generator().manual_seed(2)
    left = torch.randn(32, inner, generator=generator, dtype=torch.float64)
    right = torch.randn(inner, 32, generator=generator, dtype=torch.float64)
    context_map = ContextMap.from_product(left, right)
    rank = min(inner, 32)
    assert context_map.rank == rank
    assert context_map.left.dtype == context_map.right.dtype == torch.float32
    torch.testing.assert_close(context_map.change().double(), left @ right, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(context_map.left.T @ context_map.left, torch.eye(rank), rtol=0, atol=1e-5)
    sizes = context_map.right.norm(dim=1)
    cosines = context_map.right / sizes[:, None]
    torch.testing.assert_close(cosines @ cosines.T, torch.eye(rank), rtol=0, atol=1e-4)
    assert sizes.tolist() == sorted(sizes.tolist(), reverse=True)


def test_from_product_loses_nothing_where_large_terms_cancel():
    """Two nearly equal columns of opposite sign: the float32 factors keep the small difference."""
    generator = torch.Generator().manual_seed(2)
    vector, noise = torch.randn(2, 32, 1, generator=generator, dtype=torch.float64)
    row = torch.randn(1, 32, generator=generator, dtype=torch.float64)
    left = torch.cat([1e6 * vector, -1e6 * vector + 1e-3 * noise], dim=1)
    change = 1e-3 * noise @ row
    found = ContextMap.from_product(left, torch.cat([row, row]))
    assert found.rank == 1
    assert float((found.change() - change).norm() / change.norm()) < 1e-5


def test_relative_size_is_the_norm_of_the_change_over_that_of_the_identity():
    context_map = random_map()
    expected = float((matrix(context_map) - torch.eye(32)).norm() / torch.eye(32).norm())
    assert context_map.relative_size() == pytest.approx(expected, rel=1e-6)


def test_identity_changes_nothing():
    identity = ContextMap.identity(32)
    weight = random_weight()
    assert identity.rank == identity.nbytes == 0
    assert identity.relative_size() == 0
    assert torch.equal(identity.apply_to_weight(weight), weight)
    assert torch.equal(identity.apply(weight), weight)
    assert torch.equal(identity.dense(), torch.eye(32))
    other = random_map()
    torch.testing.assert_close(identity.compose(other).dense(), other.dense())
    torch.testing.assert_close(other.compose(identity).dense(), other.dense())
    assert identity.compose(identity).rank == 0
    assert identity.truncate(0.1).rank == 0


def test_to_changes_precision_and_counts_memory():
    half = random_map().to(dtype=torch.float16)
    assert half.left.dtype == half.right.dtype == torch.float16
    assert (random_map().nbytes, half.nbytes) == (2 * 32 * 5 * 4, 2 * 32 * 5 * 2)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("side", [0, 1])
def test_factors_that_are_not_finite_are_refused(bad, side):
    factors = [torch.ones(4, 2), torch.ones(2, 4)]
    factors[side][1, 1] = bad
    with pytest.raises(EditError, match="not finite"):
        ContextMap(*factors)
    with pytest.raises(EditError, match="not finite"):
        ContextMap.from_product(*factors)


def test_overflow_of_float32_is_refused():
    with pytest.raises(EditError, match="not finite"):
        ContextMap.from_product(torch.full((4, 1), 1e30), torch.full((1, 4), 1e30))
    with pytest.raises(EditError, match="not finite"):
        random_map(size=1e6).to(dtype=torch.float16)


def test_factors_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        ContextMap(torch.zeros(4, 2), torch.zeros(3, 4))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float32, torch.float64])
def test_weights_are_changed_in_float32_or_better(dtype):
    """A weight of float64 loses no digit to the map's float32."""
    context_map, weight = random_map(), random_weight(dtype=dtype)
    change = weight.double() @ context_map.left.double() @ context_map.right.double()
    found = weight_change(weight, context_map.left, context_map.right)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert float((found.double() - change).norm() / change.norm()) < (1e-14 if dtype == torch.float64 else 1e-6)
    if dtype == torch.float64:
        edited = context_map.apply_to_weight(weight)
        assert float((edited - weight - change).norm() / change.norm()) < 1e-14


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_a_dense_map_is_of_its_factors_type(dtype):
    dense = random_map(rank=0).to(dtype=dtype).dense()
    assert dense.dtype == dtype and torch.equal(dense, torch.eye(32, dtype=dtype))


def test_everything_is_made_where_the_factors_are():
    """What is made without a word of where goes elsewhere here, and fits nothing."""
    context_map, later, weight = random_map(), random_map(seed=3), random_weight()
    expected = context_map.dense(), context_map.compose(later).dense(), context_map.padded(40).dense()
    with torch.device("meta"):
        found = context_map.dense(), context_map.compose(later).dense(), context_map.padded(40).dense()
        weight_change(weight, context_map.left, context_map.right)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_padded_leaves_what_is_added():
    dense = random_map().padded(35).dense()
    torch.testing.assert_close(dense[:32, :32], random_map().dense())
    assert torch.equal(dense[32:], torch.eye(35)[32:]) and torch.equal(dense[:32, 32:], torch.zeros(32, 3))


def test_singular_values_are_those_of_the_change():
    context_map = random_map()
    found = context_map.singular_values()
    change = context_map.left.double() @ context_map.right.double()
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, torch.linalg.svdvals(change)[:5], rtol=1e-10, atol=0)


def test_a_product_of_nothing_is_nothing():
    assert ContextMap.from_product(torch.zeros(6, 8), torch.ones(8, 6)).rank == 0
    for left, right in (
        (torch.zeros(6, 2), torch.ones(2, 6)), (torch.ones(6, 2), torch.zeros(2, 6)), (torch.zeros(6, 0), torch.zeros(0, 6)),
        (torch.ones(6, 2), torch.tensor([[1.0], [-1.0]]).expand(2, 6)), (torch.zeros(6, 1), torch.ones(1, 6)),
    ):  # fmt: skip
        assert ContextMap.from_product(left, right).rank == 0
    nothing = ContextMap(torch.zeros(6, 2), torch.ones(2, 6))
    assert nothing.truncate(1e-3).rank == nothing.compose(nothing).rank == nothing.scale(0.0).truncate(0.0).rank == 0
    some = random_map()
    assert some.compose(ContextMap.identity(some.width)).rank == some.rank


def test_what_is_not_finite_is_one_sentence():
    with pytest.raises(EditError) as caught:
        ContextMap(torch.full((2, 1), float("nan")), torch.ones(1, 2))
    assert str(caught.value) == "The edit is not finite; lower the strength or raise the regularization."
