"""The host seam: a model by its shapes and a way to read a weight."""

from dataclasses import replace

import pytest
import torch
from edit_assumption.editing.assumptions.chance_map import ChanceMap
from edit_assumption.editing.assumptions.context_map import ContextMap
from edit_assumption.editing.assumptions.edit import Edit
from edit_assumption.editing.assumptions.prompt_pair import PromptPair
from edit_assumption.editing.assumptions.recipe import Recipe, parse_recipe
from edit_assumption.editing.assumptions.report import describe
from edit_assumption.editing.assumptions.text_inputs import TextInputs
from edit_assumption.editing.encoder_identity import EncoderIdentity
from edit_assumption.editing.encoding import Chunk, EncodedPrompt
from edit_assumption.editing.errors import EditError, PackedWeightsError

BLOCK = "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2."
WEIGHTS = {
    f"{BLOCK}{name}.weight": torch.randn(640, 768, generator=torch.Generator().manual_seed(seed))
    for seed, name in enumerate(("to_k", "to_v"))
}
SHAPES = {key: weight.shape for key, weight in WEIGHTS.items()}
SHAPES |= {f"{BLOCK}to_q.weight": (320, 320), f"{BLOCK}to_k.bias": (320,)}


def random(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(9))


def example_edit():
    left, right = random(768, 3), random(3, 768)
    recipe = Recipe((PromptPair("a rose", "a blue rose"),))
    return Edit(recipe, ContextMap(left, right), EncoderIdentity("a rose", torch.ones(16, 768)), 4, 2, 0.1)


def rows(key, every):
    return WEIGHTS[key][::every].clone()


def packed(key, every):
    raise PackedWeightsError("packed")


def test_maps_are_for_the_weights_that_read_text():
    edit, inputs = example_edit(), TextInputs.of_shapes(SHAPES, rows)
    assert inputs.family.name == "SD 1.x" and set(inputs.maps(edit)) == set(WEIGHTS) == set(inputs.widths)
    first, second = inputs.maps(edit).values()
    assert first is second is edit.context_map


def test_text_of_another_width_is_refused_before_it_is_read_further():
    inputs = TextInputs.of_shapes({key: (320, 1024) for key in WEIGHTS}, rows)
    with pytest.raises(EditError, match=r"gives 768 .* this SD 2\.x model reads 1024; connect the CLIP of the same"):
        inputs.maps(example_edit())


def test_an_encoder_of_another_width_is_refused_as_it_reads():
    asked, width = [], 768

    def encode(prompts):
        asked.append(prompts)
        return [EncodedPrompt(("x",) * 4, (Chunk(0, range(1, 3), 4),), torch.ones(4, width)) for _ in prompts]

    checked = TextInputs.of_shapes(SHAPES, rows).checked(encode)
    assert [answer.embeddings.shape for answer in checked(["a rose", "a cat"])] == [(4, 768)] * 2 and checked([]) == []
    width = 1024
    with pytest.raises(EditError, match=r"gives 1024 numbers a token, but this SD 1\.x model reads 768"):
        checked(["a rose"])
    assert asked == [["a rose", "a cat"], [], ["a rose"]]


def test_the_report_of_an_edit_by_chance_names_no_weights():
    left, right = random(768, 2), random(2, 768)
    chance = ChanceMap(left, (torch.stack([left, -left]),), right)
    edit = replace(example_edit(), recipe=parse_recipe("a rose -> a tulip | a daisy"), chance=chance)
    text = TextInputs.of_shapes(SHAPES, lambda key, every: pytest.fail("a weight was read")).report(edit, ["a remark"])
    assert text == describe(edit, [], {}, ["a remark"]) and text.endswith("a remark") and "patched" not in text
    with pytest.raises(EditError, match="drawn by chance for every picture anew"):
        TextInputs.of_shapes(SHAPES, rows).maps(edit)


def test_the_report_reads_every_eighth_row():
    asked = []

    def read(key, every):
        asked.append((key, every))
        return rows(key, every)

    text = TextInputs.of_shapes(SHAPES, read).report(example_edit(), ["a remark"])
    assert [every for _, every in asked] == [8, 8]
    assert "2 projections patched (1 keys, 1 values)" in text and "keys changed by" in text and text.endswith("a remark")


def test_the_report_of_packed_weights_says_so():
    inputs = TextInputs.of_shapes(SHAPES, packed)
    assert "the weights are packed" in inputs.report(example_edit())
    with pytest.raises(PackedWeightsError):
        inputs.weights(inputs.projections)
