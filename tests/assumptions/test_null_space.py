"""Strict protection: the edit is confined to the complement of what must not change."""

import clip_helpers
import pytest
import torch
from edit_assumption.editing.assumptions.closed_form import solve
from edit_assumption.editing.assumptions.edit import make_edit
from edit_assumption.editing.assumptions.null_space import complement
from edit_assumption.editing.assumptions.reach import reach
from edit_assumption.editing.assumptions.recipe import parse_recipe
from edit_assumption.editing.assumptions.token_columns import Columns
from edit_assumption.editing.errors import EditError

E1, E2, E3, E4 = torch.eye(4)
WIDTH = 256


@pytest.fixture(scope="module")
def encode():
    return clip_helpers.ClipEncoder(clip_helpers.clip_text_model(WIDTH, seed=3))


def test_by_hand():
    """e1 + e2 is to become e1 + e2 + e3, e1 must stay: what is left of the source is e2, of length 1, against lambda 1."""
    columns = Columns.of((E1 + E2)[None], (E1 + E2 + E3)[None])
    change = solve(columns, 1.0, scaled=False, protected=E1[None]).context_map.change()
    assert torch.allclose(change, 0.5 * torch.outer(E3, E2), atol=1e-6)


@pytest.mark.parametrize("moment", [False, True], ids=["identity", "moment"])
@pytest.mark.parametrize("tokens", [8, 60], ids=["dual", "primal"])
def test_is_the_constrained_optimum(tokens, moment):
    """Against the same problem solved with Lagrange multipliers."""
    width, kept = 24, 5
    chance = torch.Generator().manual_seed(tokens)
    source, destination, protected = (
        torch.randn(rows, width, generator=chance, dtype=torch.float64) for rows in (tokens, tokens, kept)
    )
    factor = torch.randn(width, 2 * width, generator=chance, dtype=torch.float64)
    prior = factor @ factor.T if moment else torch.eye(width, dtype=torch.float64)
    prior = prior * (width / prior.trace())
    block = source.T @ source + 0.3 * prior
    system = torch.zeros(width + kept, width + kept, dtype=torch.float64)
    system[:width, :width], system[:width, width:], system[width:, :width] = block, protected.T, protected
    wanted = torch.cat([source.T @ (destination - source), torch.zeros(kept, width, dtype=torch.float64)])
    expected = torch.linalg.solve(system, wanted)[:width].T
    found = solve(Columns.of(source, destination), 0.3, scaled=False, moment=prior if moment else None, protected=protected)
    change = found.context_map.change().double()
    assert float((change - expected).norm() / expected.norm()) < 1e-6


def test_strictly_preserved_prompts_stay(encode):
    text = "a pack of roses -> a pack of blue roses\n{} a pack of tulips"
    edits = {mark: make_edit(parse_recipe(text.format(mark), regularizer="identity"), encode) for mark in ("=", "==")}
    tulips, roses = encode(["a pack of tulips", "a pack of roses"])
    assert reach(edits["="].context_map, tulips) > 1e-3
    assert reach(edits["=="].context_map, tulips) < 1e-4
    assert reach(edits["=="].context_map, roses) > 0.05


def test_edit_of_what_is_preserved_is_refused(encode):
    with pytest.raises(EditError, match="strictly preserved; take it out"):
        make_edit(parse_recipe("! augmentations: none\nroses -> tulips\n== roses", regularizer="identity"), encode)


def test_no_room_is_refused():
    with pytest.raises(EditError, match="preserve fewer"):
        complement(torch.randn(30, 8))
    assert complement(torch.randn(3, 8)).shape == (8, 5)


def test_what_is_left_is_orthonormal_and_beside_all_that_is_kept():
    protected = torch.randn(5, 12, generator=torch.Generator().manual_seed(0))
    with torch.device("meta"):  # what is made without a word of where goes elsewhere here, and fits nothing
        basis = complement(protected)
    assert basis.shape == (12, 7) and basis.dtype == torch.float64 and basis.is_contiguous()
    assert torch.allclose(basis.T @ basis, torch.eye(7, dtype=torch.float64), atol=1e-12)
    assert float((protected.double() @ basis).abs().max()) < 1e-12


@pytest.mark.parametrize("size", [1e-25, 1.0, 1e6])
def test_a_direction_counts_unless_all_weaker_ones_together_are_too_small(size):
    """Of e1 (1), e2 (0.03) and e3 (0.04): the last two together are 0.05, e2 alone is 0.03."""
    protected = size * torch.diag(torch.tensor([1.0, 0.03, 0.04, 0.0]))
    for tolerance, free in ((0.06, 3), (0.0495, 2), (0.035, 2), (0.025, 1), (1e-9, 1)):
        assert complement(protected, tolerance).shape == (4, free)


def test_a_direction_below_the_default_is_free():
    for share, free in ((1.1e-5, 2), (0.9e-5, 3)):
        assert complement(torch.stack([E1, share * E2])).shape == (4, free)


def test_no_room_is_one_sentence():
    with pytest.raises(EditError) as caught:
        complement(torch.eye(4))
    assert str(caught.value) == (
        "The strictly preserved prompts leave no room for an edit: together they use all 4 directions of the text encoder; "
        "preserve fewer of them strictly."
    )


def test_tokens_of_zeros_take_no_room():
    assert complement(torch.zeros(2, 4)).shape == (4, 4)
