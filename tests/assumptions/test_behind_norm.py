"""Edits behind the norm that text enters through, against the layer's own formula: W (g * c / rms(c)) + b."""

from dataclasses import replace

import pytest
import torch
from edit_assumption.editing.any_lora import any_lora
from edit_assumption.editing.assumptions.behind_norm import mapped_behind, unit_rows
from edit_assumption.editing.assumptions.edit_preview import preview
from edit_assumption.editing.assumptions.moments import read_captions, second_moment
from edit_assumption.editing.assumptions.norm_ways import NormWays, Way, compare_ways
from edit_assumption.editing.assumptions.recipe import parse_recipe
from edit_assumption.editing.assumptions.rows_read import RowsRead
from edit_assumption.editing.assumptions.text_inputs import TextInputs
from edit_assumption.editing.edit_file import load_edit, read_header, save_edit
from edit_assumption.editing.encoding import Chunk, EncodedPrompt
from edit_assumption.editing.errors import EditError
from formulas import distance

WIDTH = 48
RECIPE = parse_recipe("! augmentations: none\na rose -> a blue rose", regularizer="identity", regularization=1e-6)
ENTRIES = {
    1: {"cap_embedder.1.weight": (8, WIDTH), "cap_embedder.0.weight": (WIDTH,), "context_refiner.0.w.weight": (4, 4)},
    3: {"txt_in.weight": (8, WIDTH)} | {f"txt_norm.{part}.weight": (WIDTH // 3,) for part in range(3)},
}
"""A model's weights by how many norms stand side by side before its text layer."""


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def encode(prompts):
    """Rows of very different lengths, one for each word, that tell of the words before it, too."""
    found = []
    for prompt in prompts:
        words = prompt.split()
        starts = [" ".join(words[: place + 1]) for place in range(len(words))]
        rows = torch.stack([random(WIDTH, seed=sum(start.encode())) * 3.0 ** len(start) ** 0.5 for start in starts])
        found.append(EncodedPrompt(tuple(words), (Chunk(0, range(len(words)), len(words)),), rows))
    return found


def embeddings(prompt):
    return encode([prompt])[0].embeddings


def gain(norms):
    return 0.5 + random(WIDTH, seed=9).abs()


def weight():
    return random(8, WIDTH, seed=4)


def inputs(norms):
    parts = dict(
        zip((key for key in ENTRIES[norms] if "norm" in key or ".0.weight" in key), gain(norms).chunk(norms), strict=False)
    )
    parts |= {key: weight() for key, shape in ENTRIES[norms].items() if len(shape) == 2}
    return TextInputs.of_shapes(ENTRIES[norms], lambda key, every: parts[key][::every].clone())


def seen(rows, norms):
    """What the layer is handed: each part by its own root mean square, times the norm's weights."""
    parts = rows.unflatten(-1, (norms, -1))
    return (parts / parts.square().mean(dim=-1, keepdim=True).sqrt()).flatten(-2) * gain(norms)


def solved(norms=1):
    encoded = dict(zip(RECIPE.prompts(), encode(RECIPE.prompts()), strict=True))
    return RowsRead(norms).solve(RECIPE, encoded, None)


@pytest.mark.parametrize("norms", [1, 3])
def test_the_weight_reads_the_source_as_it_read_the_destination(norms):
    ((key, context_map),) = inputs(norms).maps(solved(norms)).items()
    edited = context_map.apply_to_weight(weight())
    assert key in ENTRIES[norms] and inputs(norms).reads.norms == norms
    rows, wanted = seen(embeddings("a rose"), norms), seen(embeddings("a blue rose"), norms)[[0, 2]]
    assert distance(rows @ edited.T, wanted @ weight().T) < 1e-4 < distance(rows @ weight().T, wanted @ weight().T)


@pytest.mark.parametrize("norms", [1, 3])
def test_on_the_text_the_norm_gives_the_destination(norms):
    edit = solved(norms)
    moved = mapped_behind(embeddings("a rose"), norms, edit.context_map.apply)
    assert distance(seen(moved, norms), seen(embeddings("a blue rose"), norms)[[0, 2]]) < 1e-4
    zeros = torch.zeros(2, WIDTH)
    assert torch.equal(mapped_behind(zeros, norms, edit.context_map.apply), zeros)
    half = mapped_behind(embeddings("a rose").half(), norms, edit.context_map.apply)
    assert half.dtype == torch.float16 and distance(half.float(), moved) < 1e-2


def test_a_map_of_raw_rows_is_no_weight():
    raw = solved(0)
    with pytest.raises(
        EditError, match="In this model norms stand before the weights that read text, and this edit was solved without"
    ):
        inputs(1).maps(raw)
    behind = solved(1)
    plain = TextInputs.of_shapes(
        {"txt_in.weight": (8, WIDTH), "distilled_guidance_layer.a.weight": (2, 2)}, lambda *_: weight()
    )
    with pytest.raises(EditError, match="solved for a model that reads text behind a norm, unlike this one; make it again"):
        plain.maps(behind)
    assert plain.maps(raw)


def test_a_norm_that_shuts_a_number_off_is_refused():
    shut = replace(inputs(1), read_rows=lambda key, every: gain(1) * (torch.arange(WIDTH) > 0))
    with pytest.raises(EditError, match="shuts off a part of the text, so no weight does what the edit says; put it on the"):
        shut.maps(solved(1))


def test_a_lora_is_the_change_of_the_weight():
    edit = solved(1)
    family, tensors = any_lora(edit, lambda: inputs(1))
    name = "diffusion_model.cap_embedder.1"
    change = tensors[f"{name}.lora_up.weight"] @ tensors[f"{name}.lora_down.weight"]
    (context_map,) = inputs(1).maps(edit).values()
    assert family.name == "Z-Image or Lumina" and distance(weight() + change, context_map.apply_to_weight(weight())) < 1e-5


def test_captions_are_held_behind_the_norm_too():
    captions = ["a dog in the snow", "two white cats", "an old house"]
    found = read_captions(RowsRead(1).encode(encode), captions).whole()
    units = [replace(prompt, embeddings=seen(prompt.embeddings, 1) / gain(1)) for prompt in encode(captions)]
    assert distance(found, second_moment(units)) < 1e-5


def test_the_file_says_it(tmp_path):
    path = tmp_path / "edit.safetensors"
    save_edit(solved(3), path)
    assert read_header(path)["format_version"] == "4"
    edit = load_edit(path)
    assert edit.norms == 3 and edit.check_encoder(encode) == ""
    save_edit(solved(0), path)
    assert read_header(path)["format_version"] == "1" and load_edit(path).norms == 0
    save_edit(replace(solved(1), norms=5), path)
    with pytest.raises(EditError, match="5 norms do not fit 48 numbers a token"):
        load_edit(path)


def test_both_ways_are_compared_by_what_the_layer_reads():
    edit = solved(1).scale(0.9)
    ways = compare_ways(edit, encode, ["a dog in the snow"])
    kept = unit_rows(embeddings("a dog in the snow"), 1)
    moved = edit.context_map.apply(kept)
    assert ways.weights.moved == pytest.approx(float((moved - kept).norm() / kept.norm()), rel=1e-4)
    shorter = moved / moved.square().mean(dim=1, keepdim=True).sqrt()
    assert ways.text.moved == pytest.approx(float((shorter - kept).norm() / kept.norm()), rel=1e-4)
    assert 0 < ways.text.left != ways.weights.left > 0


def test_the_nearer_way_is_chosen_and_said():
    near, far = Way(0.2, 0.05), Way(0.3, 0.06)
    said = NormWays(text=near, weights=far).remark()
    assert said == (
        "text chosen: related prompts come within 20 % of the destination (30 % by weights), captions move by 5 % (6 %)"
    )
    assert NormWays(text=far, weights=near).remark().startswith("weights chosen: related prompts come within 20 %")


WAN = {
    "text_embedding.0.weight": (24, WIDTH), "text_embedding.0.bias": (24,), "text_embedding.2.weight": (24, 24),
    "text_embedding.2.bias": (24,), "time_projection.1.weight": (4, 4),
} | {f"blocks.{block}.cross_attn.{layer}.weight": (6, 24) for block in range(2) for layer in ("q", "k", "v")}  # fmt: skip


def wan():
    weights = {key: random(*shape, seed=place) / 3 for place, (key, shape) in enumerate(WAN.items())}
    return weights, TextInputs.of_shapes(WAN, lambda key, every: weights[key][::every].clone())


def test_keys_behind_layers_of_the_model_read_what_these_made_of_the_destination():
    weights, whole = wan()
    inner = whole.inner
    recipe = replace(RECIPE, projections="keys", blocks=("blocks.1",))
    edit = inner.reads.solve(recipe, dict(zip(recipe.prompts(), encode(recipe.prompts()), strict=True)), None)
    assert (edit.layers, edit.context_map.width, edit.encoder.embeddings.shape[1]) == ("Wan", 24, WIDTH)

    def made(prompt):
        first, second = (
            (weights[f"text_embedding.{layer}.weight"], weights[f"text_embedding.{layer}.bias"]) for layer in (0, 2)
        )
        hidden = embeddings(prompt) @ first[0].T + first[1]
        bent = 0.5 * hidden * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (hidden + 0.044715 * hidden**3)))
        return bent @ second[0].T + second[1]

    ((key, context_map),) = whole.for_edit(edit).maps(edit).items()
    assert key == "blocks.1.cross_attn.k.weight"
    edited = context_map.apply_to_weight(weights[key])
    wanted = made("a blue rose")[[0, 2]] @ weights[key].T
    assert distance(made("a rose") @ edited.T, wanted) < 1e-3 < distance(made("a rose") @ weights[key].T, wanted)
    with pytest.raises(EditError, match="reads text behind layers of Wan’s own, unlike this one; make it again"):
        whole.maps(edit)
    with pytest.raises(EditError, match="In this model layers of its own stand before the weights that read text"):
        inner.maps(replace(edit, layers=""))


def test_the_file_of_an_edit_behind_layers_says_it(tmp_path):
    path = tmp_path / "edit.safetensors"
    edit = wan()[1].inner.reads.solve(RECIPE, dict(zip(RECIPE.prompts(), encode(RECIPE.prompts()), strict=True)), None)
    save_edit(edit, path)
    again = load_edit(path)
    assert again.layers == "Wan" and again.context_map.width == 24 and read_header(path)["format_version"] == "4"
    with pytest.raises(EditError, match="one of what Wan’s own layers make of a prompt"):
        preview(again, encode)


def test_of_padding_before_layers_of_the_model_a_few_rows_are_kept():
    (prompt,) = encode(["a blue rose"])
    padded = replace(
        prompt, tokens=(*prompt.tokens, *["<pad>"] * 60), chunks=(Chunk(0, range(3), 63),),
        embeddings=torch.cat([prompt.embeddings, torch.zeros(60, WIDTH)]),
    )  # fmt: skip
    found = RowsRead(layers="Wan", through=lambda rows: rows + 1).prompt(padded)
    assert len(found.tokens) == 3 + 16 == found.chunks[0].stop and found.words == [0, 1, 2]
    assert torch.equal(found.embeddings, padded.embeddings[:19] + 1)


def test_a_preview_shows_what_the_layer_reads():
    edit, prompt = solved(3), "a dog in a rose"
    rows = unit_rows(embeddings(prompt), 3)
    sizes = unit_rows(edit.encoder.embeddings, 3).square().mean(dim=0).sqrt()
    moved = edit.context_map.apply(rows) - rows
    wanted = float((moved / sizes).norm() / (rows / sizes).norm())
    assert preview(edit, encode, [prompt]).related[prompt] == pytest.approx(wanted, rel=1e-4)


def test_a_norm_may_store_its_weights_less_1():
    stored = {"txt_in.in_layer.weight": weight(), "txt_in.text_norm.weight": gain(1) - 1}
    centred = TextInputs.of_shapes({key: kept.shape for key, kept in stored.items()}, lambda key, every: stored[key][::every])
    assert centred.family.name == "Qwen-Image 2.1" and centred.reads.norms == 1
    (found,), (wanted,) = (model.maps(solved(1)).values() for model in (centred, inputs(1)))
    assert distance(found.change(), wanted.change()) < 1e-5
