"""The pooled embedding's edit against the published formula, and its way through file and recipe."""

from dataclasses import replace

import clip_helpers
import pytest
import torch
from edit_assumption.editing.assumptions.edit import make_edit
from edit_assumption.editing.assumptions.pooled import pooled_columns, pooled_map
from edit_assumption.editing.assumptions.recipe import parse_recipe, recipe_from_json
from edit_assumption.editing.edit_file import load_edit, save_edit
from edit_assumption.editing.errors import EditError
from edit_assumption.editing.projections import POOLED, find, select

WIDTH, POOLED_WIDTH = 32, 12
RECIPE = parse_recipe("! pooled: yes\na rose -> a blue rose\na doctor -> a female doctor @ 0.5\n= a tulip")


class Encoder(clip_helpers.ClipEncoder):
    """With a projection of the mean token as the pooled embedding."""

    def __call__(self, prompts):
        project = torch.randn(WIDTH, POOLED_WIDTH, generator=torch.Generator().manual_seed(4))
        return [replace(prompt, pooled=prompt.embeddings.mean(0) @ project) for prompt in super().__call__(prompts)]


@pytest.fixture(scope="module")
def encode():
    return Encoder(clip_helpers.clip_text_model(WIDTH, seed=3))


def test_it_is_the_published_equation_over_whole_prompts(encode):
    found = make_edit(RECIPE, encode).pooled_map
    pooled = {text: encoded.pooled.double() for text, encoded in zip(RECIPE.prompts(), encode(RECIPE.prompts()), strict=True)}
    pairs = [(*texts, pair.strength) for pair in RECIPE.pairs for texts in pair.sentences()]
    source = torch.stack([pooled[text] for text, _, _ in pairs] + [pooled["a tulip"]])
    moved = [pooled[one] + strength * (pooled[other] - pooled[one]) for one, other, strength in pairs]
    target = torch.stack([*moved, pooled["a tulip"]])
    scale = float(source.square().sum(1).median()) / POOLED_WIDTH
    gram = source.T @ source + 0.1 * scale * torch.eye(POOLED_WIDTH, dtype=torch.float64)
    expected = torch.eye(POOLED_WIDTH, dtype=torch.float64) + torch.linalg.solve(gram, source.T @ (target - source)).T
    assert torch.allclose(found.dense().double(), expected, atol=1e-5)


def test_pairs_have_their_strengths_and_weights(encode):
    recipe = parse_recipe("! augmentations: none\n! pooled: yes\na doctor -> a female doctor @ 0.5 * 3\n= a tulip")
    columns = pooled_columns(recipe, dict(zip(recipe.prompts(), encode(recipe.prompts()), strict=True)))
    assert columns.strength.tolist() == [0.5, 1.0] and columns.weight.tolist() == [3.0, 1.0]


def test_the_regularization_is_scaled_unless_it_is_told_not_to_be(encode):
    encoded = dict(zip(RECIPE.prompts(), encode(RECIPE.prompts()), strict=True))
    scaled, plain = (pooled_map(RECIPE, encoded, each).dense() for each in (True, False))
    assert torch.equal(pooled_map(RECIPE, encoded).dense(), scaled) and not torch.allclose(plain, scaled, atol=1e-3)
    assert torch.equal(make_edit(RECIPE, encode).pooled_map.dense(), scaled)
    assert torch.equal(make_edit(RECIPE, encode, scaled=False).pooled_map.dense(), plain)


def test_strictly_preserved_prompts_keep_it(encode):
    recipe = parse_recipe("! pooled: yes\na rose -> a blue rose\n== a tulip")
    # Its tokens fill this narrow encoder's space, so that the edit of the tokens themselves would be refused.
    found = pooled_map(recipe, dict(zip(recipe.prompts(), encode(recipe.prompts()), strict=True)))
    (tulip,) = encode(["a tulip"])
    assert torch.allclose(found.apply(tulip.pooled), tulip.pooled, rtol=1e-4, atol=1e-5)


def test_it_is_not_halved_by_preserving_the_source(encode):
    text = "! pooled: yes\n! regularizer: identity\na rose -> a blue rose\n= a tulip"
    alone, both = (make_edit(parse_recipe(lines), encode).pooled_map for lines in (text, f"{text}\n= a rose"))
    assert torch.equal(alone.dense(), both.dense())


def test_it_is_padded_for_a_layer_that_reads_more(encode):
    found = make_edit(RECIPE, encode).pooled_map
    weight = torch.randn(5, POOLED_WIDTH + 4)
    edited = found.padded(POOLED_WIDTH + 4).apply_to_weight(weight)
    assert torch.equal(edited[:, POOLED_WIDTH:], weight[:, POOLED_WIDTH:])
    assert torch.allclose(edited[:, :POOLED_WIDTH], found.apply_to_weight(weight[:, :POOLED_WIDTH]), atol=1e-5)


def test_it_goes_through_a_file_and_scales(encode, tmp_path):
    edit = make_edit(RECIPE, encode)
    # The table knows no model of this width, and a file names its models.
    wide = replace(edit, context_map=edit.context_map.padded(768), encoder=replace(edit.encoder, embeddings=torch.ones(2, 768)))
    save_edit(wide, tmp_path / "edit.safetensors")
    found = load_edit(tmp_path / "edit.safetensors")
    assert found.recipe == RECIPE and torch.equal(found.pooled_map.left, edit.pooled_map.left)
    half = edit.scale(0.5)
    assert torch.allclose(half.pooled_map.change(), edit.pooled_map.change() / 2)
    assert torch.allclose(half.context_map.change(), edit.context_map.change() / 2)
    assert make_edit(replace(RECIPE, pooled=False), encode).scale(0.5).pooled_map is None


def test_recipes_say_it():
    assert RECIPE.pooled and parse_recipe(RECIPE.to_text()) == RECIPE == recipe_from_json(RECIPE.to_json())
    assert not RECIPE.shares_settings(replace(RECIPE, pooled=False))
    with pytest.raises(EditError, match="Line 1: pooled is “maybe”; write yes or no"):
        parse_recipe("! pooled: maybe\na -> b")
    with pytest.raises(EditError, match="give true or false"):
        replace(RECIPE, pooled="yes")


def test_an_encoder_without_it_is_refused():
    with pytest.raises(EditError, match=r"^This model's text encoder has no pooled embedding .* switch “pooled” off\.$"):
        make_edit(RECIPE, clip_helpers.ClipEncoder(clip_helpers.clip_text_model(WIDTH, seed=3)))


def test_its_layer_is_chosen_only_where_asked():
    shapes = {
        "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (640, 2048),
        "label_emb.0.0.weight": (1280, 2816),
    }
    family, found = find(shapes)
    assert family.name == "SDXL" and [layer.kind for layer in found] == ["keys", POOLED]
    assert [layer.kind for layer in select(found)] == ["keys"]
    assert [layer.kind for layer in select(found, blocks=["down"], pooled=True)] == ["keys", POOLED]
    with pytest.raises(EditError, match="switch “pooled” off"):
        select(found[:1], pooled=True)
