"""The coordinates of the solve, against matrices written out."""

import pytest
import torch
from edit_assumption.editing.assumptions.space import Space
from edit_assumption.editing.cholesky import cholesky
from edit_assumption.editing.errors import EditError

WIDTH = 6
CPU = torch.device("cpu")


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


MOMENT = random(WIDTH, 20) @ random(WIDTH, 20).T / 20
PROTECTED = torch.cat([random(2, WIDTH, seed=1), torch.zeros(1, WIDTH)])  # a token of zeros protects nothing


@pytest.mark.parametrize("protected", [None, PROTECTED], ids=["free", "beside tokens"])
@pytest.mark.parametrize("moment", [None, MOMENT, MOMENT.float()], ids=["identity", "moment", "of float32"])
def test_a_space_is_its_matrix(moment, protected):
    """Q^T L^-1, with L L^T = S and Q beside the protected tokens."""
    with torch.device("meta"):  # what is made without a word of where goes elsewhere here, and fits nothing
        space = Space.of(WIDTH, moment, protected, CPU)
    whole = torch.eye(WIDTH).double() if moment is None else torch.linalg.inv(torch.linalg.cholesky(moment.double()))
    unit = torch.ones(WIDTH).double() if moment is None else moment.double().diagonal().sqrt()
    assert space.unit.dtype == torch.float64 and torch.allclose(space.unit, unit)
    matrix, rest = whole, WIDTH
    if protected is not None:
        rest = WIDTH - 2
        assert space.free.shape == (WIDTH, rest)
        assert float((whole @ PROTECTED.T).T.matmul(space.free).abs().max()) < 1e-9
        matrix = space.free.T @ whole
    tokens, cross, square, rows = random(3, WIDTH), random(WIDTH, 4), MOMENT + 1, random(5, rest)
    assert torch.allclose(space.seen(tokens), tokens @ matrix.T, atol=1e-9)
    assert torch.allclose(space.seen(tokens.float()), tokens.float().double() @ matrix.T, atol=1e-9)
    assert torch.allclose(space.seen_cross(cross), matrix @ cross, atol=1e-9)
    assert torch.allclose(space.seen_moment(square), matrix @ square @ matrix.T, atol=1e-8)
    assert torch.allclose(space.back(rows), rows @ matrix, atol=1e-9)
    assert torch.allclose(space.unconfined.seen(tokens), tokens @ whole.T, atol=1e-9)
    assert torch.equal(space.unconfined.unit, space.unit)


def test_protected_tokens_count_alike_whatever_their_length():
    """A token of 1e-9 of the other's length is protected as well."""
    space = Space.of(3, None, torch.tensor([[1.0, 0.0, 0.0], [0.0, 1e-9, 0.0]]), CPU)
    assert space.free.shape == (3, 1) and abs(float(space.free[2, 0])) == pytest.approx(1)


@pytest.mark.parametrize("bad", [torch.diag(torch.tensor([1.0, -1.0])), torch.tensor([[float("inf")]])])
def test_what_has_no_factor_is_refused(bad):
    for factorise in (lambda: cholesky(bad.double()), lambda: Space.of(len(bad), bad, None, CPU)):
        with pytest.raises(EditError) as caught:
            factorise()
        assert str(caught.value) == "The edit cannot be solved: raise the regularization."
