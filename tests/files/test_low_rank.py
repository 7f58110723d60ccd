"""A product by factors of lower rank."""

import pytest
import torch
from edit_assumption.editing.low_rank import lowest_rank


def falling(sizes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    up, down = (torch.linalg.qr(torch.randn(rows, len(sizes), generator=generator, dtype=torch.float64)).Q for rows in (9, 7))
    return up * torch.tensor(sizes).double(), down.T


@pytest.mark.parametrize(("tolerance", "rank"), [(1.0, 1), (0.6, 1), (0.4, 2), (0.2, 3), (0.1, 4), (0.0, 4)])
def test_the_lowest_rank_within_the_tolerance(tolerance, rank):
    """Of singular values 8, 4, 2, 1 the rest behind one, two and three is .50, .24 and .11 of all."""
    up, down = falling([8.0, 4.0, 2.0, 1.0])
    left, right = lowest_rank(up.float(), down.float(), tolerance)
    assert left.shape == (9, rank) and right.shape == (rank, 7) and left.dtype == right.dtype == torch.float64
    product = up.float().double() @ down.float().double()
    vectors, sizes, others = torch.linalg.svd(product)
    best = (vectors[:, :rank] * sizes[:rank]) @ others[:rank]
    assert torch.allclose(left @ right, best, atol=1e-9)
    root = sizes[:rank].sqrt()
    assert torch.allclose(left.norm(dim=0), root) and torch.allclose(right.norm(dim=1), root)  # shared out alike


def test_a_product_of_nothing_keeps_one_direction():
    left, right = lowest_rank(torch.zeros(3, 2), torch.zeros(2, 4), 0.1)
    assert left.shape == (3, 1) and right.shape == (1, 4) and not (left @ right).any()


def test_the_tolerance_itself_is_within():
    up, down = torch.diag(torch.tensor([4.0, 3.0]).double()), torch.eye(2).double()
    assert lowest_rank(up, down, 0.6)[0].shape == (2, 1)
