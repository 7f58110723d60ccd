"""Embeddings too wide for a matrix: the same edits as with one, where both can be had."""

import clip_helpers
import pytest
import torch
from edit_assumption.editing.assumptions import moments, space, wide_moment
from edit_assumption.editing.assumptions.closed_form import solve
from edit_assumption.editing.assumptions.edit import make_edit
from edit_assumption.editing.assumptions.moment_file import keep_sums, load_sums
from edit_assumption.editing.assumptions.moments import read_captions, shrunk
from edit_assumption.editing.assumptions.reach import ordinary_reach
from edit_assumption.editing.assumptions.recipe import parse_recipe
from edit_assumption.editing.assumptions.token_columns import Columns
from edit_assumption.editing.assumptions.wide_moment import WideMoment
from edit_assumption.editing.assumptions.wide_space import WideSpace
from edit_assumption.editing.encoder_identity import EncoderIdentity
from edit_assumption.editing.encoding import Chunk, EncodedPrompt
from formulas import distance

WIDTH = 48
CAPTIONS = [
    f"{thing} {place}" for thing in ("a rose", "a dog", "two cups") for place in ("in the snow", "at night", "on a hill")
]
RECIPE = "a rose -> a blue rose\na wizard -> a wizard with a hat"


def draw(rows, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, WIDTH, generator=generator) * torch.logspace(1, -2, WIDTH)


def whole(moment):
    return moment.rows.double().T @ moment.rows.double() + moment.rest.diag()


def of(tokens):
    return WideMoment.empty(WIDTH).plus(tokens)


def matrix(tokens):
    return tokens.double().T @ tokens.double()


def of_both(seed):
    """A moment with rows and a diagonal, and its matrix."""
    moment = WideMoment(draw(6, seed), draw(1, seed + 1)[0].double().square() + seed)
    return moment, whole(moment)


@pytest.fixture
def columns():
    return Columns.of(draw(12, 2), draw(12, 3))


@pytest.fixture(scope="module")
def encode():
    return clip_helpers.ClipEncoder(clip_helpers.clip_text_model(96, seed=3))


@pytest.fixture
def narrow(monkeypatch):
    """Few rows are kept."""
    monkeypatch.setattr(wide_moment, "_ROWS", 8)


@pytest.fixture
def wide(monkeypatch):
    """The bundled model's embeddings count as wide."""
    for module in (moments, space):
        monkeypatch.setattr(module, "WIDEST", 64)


def test_few_tokens_are_kept_as_they_are():
    moment = of(draw(20, 1))
    assert distance(whole(moment), matrix(draw(20, 1))) < 1e-6 and not moment.rest.any()


def test_of_many_tokens_the_strongest_directions_are_kept_and_every_diagonal(narrow):
    tokens = draw(200, 1)
    moment, exact = of(tokens), matrix(tokens)
    assert moment.rows.shape == (8, WIDTH) and (moment.rest >= 0).all()
    assert torch.allclose(moment.diagonal(), exact.diagonal(), rtol=1e-4)
    energy, vectors = torch.linalg.eigh(exact)
    best = (vectors[:, -8:] * energy[-8:]) @ vectors[:, -8:].T
    assert distance(moment.rows.double().T @ moment.rows.double(), best) < 1e-3


def test_what_is_taken_away_was_added():
    tokens = draw(30, 1)
    rest = of(tokens).minus(of(tokens[:10]), 0.9)
    assert distance(whole(rest), matrix(tokens) - 0.9 * matrix(tokens[:10])) < 1e-5


def test_the_rest_on_the_diagonal_never_falls_below_zero(narrow):
    tokens = draw(200, 1)
    assert (of(tokens).minus(of(tokens), 0.9).rest >= 0).all()


def test_blended_scaled_and_between():
    one, other, right = draw(20, 1), draw(20, 2), draw(5, 3).double()
    blended = of(one).scale(1 / 20).blend(of(other).scale(1 / 20), 0.7)
    exact = torch.lerp(matrix(one) / 20, matrix(other) / 20, 0.7)
    assert distance(whole(blended), exact) < 1e-5
    assert distance(blended.between(right), right @ exact @ right.T) < 1e-5


def test_the_diagonal_takes_part_in_everything():
    (one, first), (two, second), right = of_both(1), of_both(2), draw(5, 3).double()
    assert distance(whole(one.scale(1 / 20)), first / 20) < 1e-6
    assert distance(whole(one.blend(two, 0.7)), torch.lerp(first, second, 0.7)) < 1e-6
    assert distance(whole(shrunk(one)), shrunk(first)) < 1e-6
    assert distance(one.between(right), right @ first @ right.T) < 1e-6
    part = WideMoment(one.rows[:2], one.rest / 3)
    assert distance(whole(one.minus(part, 0.9)), first - 0.9 * whole(part)) < 1e-6
    assert distance(whole(one.plus(draw(3, 4))), first + matrix(draw(3, 4))) < 1e-6


def test_twice_as_many_rows_as_are_kept_wait(narrow):
    assert [len(of(draw(rows, 1)).rows) for rows in (16, 17, 24)] == [16, 8, 8]


def test_an_empty_moment_is_of_its_width_and_exact():
    empty = WideMoment.empty(WIDTH)
    assert empty.rows.shape == (0, WIDTH) and empty.rest.dtype == torch.float64


def test_shrunk_is_that_of_the_matrix():
    tokens = draw(20, 1)
    tokens[:, -1] = 0  # a coordinate that no token uses
    assert distance(whole(shrunk(of(tokens))), shrunk(matrix(tokens))) < 1e-6


@pytest.mark.parametrize("protected", [None, draw(4, 5)], ids=["", "protected"])
@pytest.mark.parametrize("held", [True, False], ids=["moment", "identity"])
def test_the_solution_is_that_of_the_matrix(columns, held, protected, monkeypatch):
    moment, exact = (shrunk(of(draw(60, 1))), shrunk(matrix(draw(60, 1)))) if held else (None, None)
    expected = solve(columns, 0.1, moment=exact, protected=protected)
    monkeypatch.setattr(space, "WIDEST", WIDTH - 1)
    found = solve(columns, 0.1, moment=moment, protected=protected)
    assert distance(found.context_map.change(), expected.context_map.change()) < 1e-4
    assert found.residual == pytest.approx(expected.residual, rel=1e-3)
    if held:
        reach = [ordinary_reach(expected.context_map, entry) for entry in (moment, exact)]
        assert reach[0] == pytest.approx(reach[1], rel=1e-4)


@pytest.mark.parametrize("held", [True, False], ids=["moment", "identity"])
def test_protected_tokens_of_every_size_stay(columns, held, monkeypatch):
    monkeypatch.setattr(space, "WIDEST", WIDTH - 1)
    protected = draw(4, 5) * torch.tensor([1e-6, 1.0, 1e4, 0.0])[:, None]
    moment = shrunk(of(draw(60, 1))) if held else None
    context_map = solve(columns, 0.1, moment=moment, protected=protected).context_map
    tokens = protected[:3].double()
    moved = (tokens @ context_map.right.double().T) @ context_map.left.double().T
    assert (moved.norm(dim=1) / tokens.norm(dim=1)).max() < 1e-5
    without = solve(columns, 0.1, moment=moment, protected=protected[:3]).context_map
    assert distance(context_map.change(), without.change()) < 1e-6  # a token of zeros holds nothing


def test_a_space_is_where_it_is_wanted():
    placed = WideSpace.of(WIDTH, None, None, torch.device("meta"))
    assert {part.device.type for part in (placed.unit, placed.basis, placed.less, placed.root)} == {"meta"}
    assert len(placed.basis) == len(placed.less) == 0


def test_more_tokens_than_numbers_are_solved_by_tokens(monkeypatch):
    columns, exact = Columns.of(draw(100, 2), draw(100, 3)), matrix(draw(60, 1))
    expected = solve(columns, 0.1, moment=shrunk(exact))
    found = solve(columns, 0.1, moment=shrunk(of(draw(60, 1))))
    assert distance(found.context_map.change(), expected.context_map.change()) < 1e-4


@pytest.mark.parametrize("recipe", [f"{RECIPE}\n== a tulip", "a doctor -> a wizard | a king"])
def test_a_recipe_on_a_wide_encoder(encode, recipe, request, monkeypatch):
    recipe = parse_recipe(recipe)
    expected = make_edit(recipe, encode, tolerance=0.0, moment=read_captions(encode, CAPTIONS))
    request.getfixturevalue("wide")
    monkeypatch.setattr(moments, "_PADDING_READ", 77)
    known = read_captions(encode, CAPTIONS)
    found = make_edit(recipe, encode, tolerance=0.0, moment=known)
    assert isinstance(known.whole(), WideMoment)
    assert distance(found.context_map.change(), expected.context_map.change()) < 1e-3
    assert found.ordinary_reach == pytest.approx(expected.ordinary_reach, rel=1e-2)


def test_a_wide_moment_is_kept_on_disk(encode, wide, tmp_path):
    known = read_captions(encode, CAPTIONS)
    identity = EncoderIdentity.of("a rose", encode(["a rose"])[0])
    keep_sums(tmp_path, known.texts, identity, known.sums)
    found = load_sums(tmp_path, known.texts, identity)
    assert distance(whole(found.moment()), whole(known.sums.moment())) < 1e-6


def test_of_long_padding_a_few_rows_stand_for_all(wide):
    rows = torch.cat([draw(4, 1), draw(1, 2) + 1e-3 * torch.linspace(0, 1, 200)[:, None]]).repeat(1, 2)
    prompt = EncodedPrompt(("a", "rose", "</s>", "!", *["<pad>"] * 200), (Chunk(0, range(2), 204),), rows)
    total = moments.Total()
    total.add([prompt])
    assert len(total.square.rows) == 4 + 16 and total.rows == 204
    assert distance(whole(total.square), matrix(rows)) < 1e-3
