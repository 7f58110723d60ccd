"""The same text encoder in other coordinates: embeddings times T, projections times its inverse, and the edit pulled back.

An edit is the same wherever T scales coordinates. In mixed coordinates the solve is the same, too, but the moment that
is handed to it is drawn to another diagonal: the maps differ in directions that hardly any token has, and tokens move alike.
"""

from dataclasses import replace

import clip_helpers
import pytest
import torch
from edit_assumption.editing.assumptions.closed_form import EXACT, solve
from edit_assumption.editing.assumptions.edit import make_edit
from edit_assumption.editing.assumptions.moments import read_captions, second_moment, shrunk
from edit_assumption.editing.assumptions.reach import ordinary_reach, reach
from edit_assumption.editing.assumptions.recipe import parse_recipe
from edit_assumption.editing.assumptions.token_columns import Columns
from edit_assumption.editing.encoder_identity import EncoderIdentity
from edit_assumption.editing.errors import EditError

WIDTH = 128
NOUNS = ("cat", "dog", "house", "apple", "tulip", "doctor", "monster", "painting")
CAPTIONS = tuple(f"{start} {look} {noun}" for start in ("a", "the photo of a") for look in ("red", "blue") for noun in NOUNS)
RECIPE = parse_recipe("a rose -> a white rose\n= a tulip")


@pytest.fixture(scope="module")
def text_model():
    return clip_helpers.clip_text_model(WIDTH, seed=3)


class Written(clip_helpers.ClipEncoder):
    """In other coordinates, and with a start token of another length."""

    def __init__(self, model, matrix, start=1.0):
        super().__init__(model)
        self.matrix, self.start = matrix, start

    def __call__(self, prompts):
        found = []
        for prompt in super().__call__(prompts):
            rows = prompt.embeddings.double()
            rows[0] *= self.start
            found.append(replace(prompt, embeddings=rows @ self.matrix.T))
        return found


def random_orthogonal(seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=generator, dtype=torch.float64)).Q


def huge():
    sizes = torch.ones(WIDTH, dtype=torch.float64)
    sizes[5], sizes[40], sizes[99] = 300, 100, 30
    return torch.diag(sizes)


PLAIN = torch.eye(WIDTH, dtype=torch.float64)
SCALED = {"0.1": 0.1 * PLAIN, "10": 10 * PLAIN, "huge coordinates": huge()}
MIXED = {
    "orthogonal": random_orthogonal(0),
    "condition 1e4": random_orthogonal(1) @ torch.diag(torch.logspace(-2, 2, WIDTH).double()) @ random_orthogonal(2),
}


def relative(found, expected):
    return float((found - expected).norm() / expected.norm())


def pulled_back(edit, matrix):
    """T^-1 (M' - I) T."""
    change = edit.context_map.left.double() @ edit.context_map.right.double()
    return torch.linalg.solve(matrix, change @ matrix)


def edit_in(text_model, matrix, recipe=RECIPE, start=1.0, **settings):
    encode = Written(text_model, matrix, start)
    moment = None if recipe.regularizer == "identity" else read_captions(encode, CAPTIONS).whole()
    return make_edit(recipe, encode, moment=moment, **settings)


@pytest.mark.parametrize("matrix", SCALED.values(), ids=SCALED)
@pytest.mark.parametrize("text", ["a rose -> a white rose\n= a tulip", "! passes: 1\na rose ->", "a rose -> a dog\n== a tulip"])
def test_scaled_coordinates_give_the_same_edit(text_model, matrix, text):
    recipe = parse_recipe(text)
    plain, other = (edit_in(text_model, each, recipe) for each in (PLAIN, matrix))
    assert relative(pulled_back(other, matrix), pulled_back(plain, PLAIN)) < 1e-4
    assert other.context_map.rank == plain.context_map.rank
    assert other.residual == pytest.approx(plain.residual, rel=1e-4)
    assert other.ordinary_reach == pytest.approx(plain.ordinary_reach, rel=1e-4)
    reaches = [
        reach(edit.context_map, Written(text_model, each)(["a house"])[0], edit.encoder.unit)
        for edit, each in ((plain, PLAIN), (other, matrix))
    ]
    assert reaches[0] == pytest.approx(reaches[1], rel=1e-3)


@pytest.mark.parametrize(("name", "apart"), [("orthogonal", 1e-5), ("condition 1e4", 0.1)])
@pytest.mark.parametrize("tokens", [40, 200], ids=["dual", "primal"])
def test_without_shrinkage_mixed_coordinates_give_the_same_map(name, apart, tokens):
    matrix = MIXED[name]
    generator = torch.Generator().manual_seed(tokens)
    source, destination = torch.randn(2, tokens, WIDTH, generator=generator, dtype=torch.float64)
    rows = torch.randn(4 * WIDTH, WIDTH, generator=generator, dtype=torch.float64)
    here = solve(Columns.of(source, destination), 0.1, moment=rows.T @ rows, tolerance=1e-6).context_map
    rows, source, destination = (each @ matrix.T for each in (rows, source, destination))
    there = solve(Columns.of(source, destination), 0.1, moment=rows.T @ rows, tolerance=1e-6).context_map
    # The map is kept in float32, of whose digits a matrix of condition 1e4 takes four on either side.
    assert relative(torch.linalg.solve(matrix, there.change().double() @ matrix), here.change()) < apart


@pytest.mark.parametrize(("name", "apart"), [("orthogonal", 0.25), ("condition 1e4", 0.5)])
def test_in_mixed_coordinates_tokens_move_alike(text_model, name, apart):
    """The whole remaining difference is the shrinkage's; see :func:`~.moments.shrunk`."""
    tokens = torch.cat([prompt.embeddings[1:] for prompt in Written(text_model, PLAIN)(RECIPE.prompts())])
    plain, other = (pulled_back(edit_in(text_model, each), each) for each in (PLAIN, MIXED[name]))
    assert relative(tokens @ other.T, tokens @ plain.T) < apart
    captions = torch.cat([prompt.embeddings[1:] for prompt in Written(text_model, PLAIN)(CAPTIONS)])
    moved = [float((captions @ each.T).norm() / captions.norm()) for each in (plain, other)]
    assert moved[1] == pytest.approx(moved[0], rel=apart)


@pytest.mark.parametrize("start", [10.0, 30.0])
def test_the_start_tokens_length_does_not_matter(text_model, start):
    house = Written(text_model, PLAIN)(["a house"])[0]
    plain, other = (edit_in(text_model, PLAIN, start=each) for each in (1.0, start))
    assert other.residual == pytest.approx(plain.residual, rel=0.03)
    assert reach(other.context_map, house) == pytest.approx(reach(plain.context_map, house), rel=0.03)
    assert other.ordinary_reach == pytest.approx(plain.ordinary_reach, rel=0.03)


def test_the_start_token_is_no_part_of_the_moment(text_model):
    encoded = Written(text_model, PLAIN)(CAPTIONS[:2])
    rows = torch.cat([prompt.embeddings[1:] for prompt in encoded])
    assert torch.allclose(second_moment(encoded), rows.T @ rows / len(rows))


def test_the_moment_is_drawn_towards_its_own_diagonal():
    moment = torch.tensor([[4.0, 2.0, 0.0], [2.0, 9.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    expected = torch.tensor([[4.0, 1.5, 0.0], [1.5, 9.0, 0.0], [0.0, 0.0, 0.25 * 13 / 3]], dtype=torch.float64)
    assert torch.allclose(shrunk(moment, 0.25), expected)  # a coordinate that nothing uses gets the others' mean


@pytest.mark.parametrize("matrix", SCALED.values(), ids=SCALED)
@pytest.mark.parametrize("regularizer", ["captions", "identity"])
def test_an_edit_of_what_is_strictly_preserved_is_refused_in_any_units(text_model, matrix, regularizer):
    recipe = parse_recipe(
        "! augmentations: A photo of\na rose -> a dog\n== a rose\n== A photo of a rose", regularizer=regularizer
    )
    with pytest.raises(EditError, match="strictly preserved; take it out"):
        edit_in(text_model, matrix, recipe)


@pytest.mark.parametrize("matrix", [*SCALED.values(), torch.diag(torch.logspace(-3, 3, WIDTH).double())])
def test_encoders_are_told_apart_in_any_units(text_model, matrix):
    encode = Written(text_model, matrix)
    identity = EncoderIdentity.of("a rose", encode(["a rose"])[0])
    other = Written(clip_helpers.clip_text_model(WIDTH, seed=4), matrix)
    plain = EncoderIdentity.of("a rose", Written(text_model, PLAIN)(["a rose"])[0])
    assert identity.distance(encode) < 1e-6
    expected = plain.distance(Written(clip_helpers.clip_text_model(WIDTH, seed=4), PLAIN))
    assert identity.distance(other) == pytest.approx(expected, rel=1e-3) and expected > 0.5


def test_a_token_much_longer_than_the_others_does_not_hide_them(text_model):
    prompt = Written(text_model, PLAIN, start=100.0)(["a rose"])[0]
    other = replace(prompt, embeddings=prompt.embeddings.clone())
    other.embeddings[1:] *= 0.5
    assert EncoderIdentity.of("a rose", prompt).distance(lambda _: [other]) > 0.3


def test_ordinary_reach_is_taken_coordinate_by_coordinate(text_model):
    edit = edit_in(text_model, PLAIN, tolerance=EXACT)
    rows = torch.cat([prompt.embeddings[1:] for prompt in Written(text_model, PLAIN)(CAPTIONS)])
    moved = rows @ pulled_back(edit, PLAIN).T
    expected = float((moved.square().sum(0) / rows.square().sum(0)).mean().sqrt())
    assert ordinary_reach(edit.context_map, rows.T @ rows / len(rows)) == pytest.approx(expected, rel=1e-4)
