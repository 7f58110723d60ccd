"""The host seam: a model by its shapes and a way to read a weight."""

import pytest
import torch
from edit_assumption.editing.assumptions.context_map import ContextMap
from edit_assumption.editing.assumptions.edit import Edit
from edit_assumption.editing.assumptions.prompt_pair import PromptPair
from edit_assumption.editing.assumptions.recipe import Recipe
from edit_assumption.editing.assumptions.text_inputs import TextInputs
from edit_assumption.editing.encoder_identity import EncoderIdentity
from edit_assumption.editing.errors import EditError, PackedWeightsError

BLOCK = "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2."
WEIGHTS = {
    f"{BLOCK}{name}.weight": torch.randn(640, 768, generator=torch.Generator().manual_seed(seed))
    for seed, name in enumerate(("to_k", "to_v"))
}
SHAPES = {key: weight.shape for key, weight in WEIGHTS.items()}
SHAPES |= {f"{BLOCK}to_q.weight": (320, 320), f"{BLOCK}to_k.bias": (320,)}


def example_edit():
    left, right = (torch.randn(shape, generator=torch.Generator().manual_seed(9)) for shape in ((768, 3), (3, 768)))
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
