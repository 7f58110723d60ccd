"""What takes both kinds of edit: the text of a recipe, and LoRA files."""

import pytest
import torch
from edit_assumption.editing.any_lora import any_lora, write_any_lora
from edit_assumption.editing.any_recipe import is_of_concepts, parse_any_recipe
from edit_assumption.editing.assumptions.context_map import ContextMap
from edit_assumption.editing.assumptions.edit import Edit
from edit_assumption.editing.assumptions.edit_lora import lora_tensors
from edit_assumption.editing.assumptions.recipe import parse_recipe
from edit_assumption.editing.assumptions.text_inputs import TextInputs
from edit_assumption.editing.concepts.concept_edit import ConceptEdit
from edit_assumption.editing.concepts.concept_lora import concept_lora_tensors
from edit_assumption.editing.concepts.concept_recipe import parse_concept_recipe
from edit_assumption.editing.encoder_identity import EncoderIdentity
from edit_assumption.editing.errors import EditError
from safetensors import safe_open

LINES = "a rose -> a tulip"
CONCEPTS = f"  ! mode : text\n{LINES}"


@pytest.mark.parametrize("text", [LINES, f"! regularization: 0.2\n{LINES}", "a rose -> ! mode: full", "# ! mode: full"])
def test_lines_without_a_mode_are_of_the_projections(text):
    assert not is_of_concepts(text)


def test_a_mode_makes_a_recipe_one_of_concepts():
    assert is_of_concepts(CONCEPTS) and is_of_concepts(parse_concept_recipe(LINES).to_text())
    assert parse_any_recipe(LINES, regularization=0.3) == parse_recipe(LINES, regularization=0.3)
    for text, settings in ((CONCEPTS, {"regularization": 0.3}), (LINES, {"mode": "text", "layers": (2, 3)})):
        assert parse_any_recipe(text, **settings) == parse_concept_recipe(text, **settings)
    assert parse_any_recipe(CONCEPTS).mode == "text"


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


WEIGHTS = {
    f"diffusion_model.{block}.1.transformer_blocks.0.attn2.to_{kind}.weight": random(24, 768, seed=seed)
    for seed, (block, kind) in enumerate((block, kind) for block in ("middle_block", "output_blocks.5") for kind in "kv")
}


@pytest.fixture
def inputs():
    return TextInputs.of_shapes(
        {key: weight.shape for key, weight in WEIGHTS.items()}, lambda key, every: WEIGHTS[key][::every].clone()
    )


def an_edit(lines=LINES):
    context_map = ContextMap(random(768, 5, seed=8) / 30, random(5, 768, seed=9) / 30)
    return Edit(parse_recipe(lines), context_map, EncoderIdentity("a rose", torch.ones(4, 768)), 4, 2, 0.1)


def a_concept_edit():
    changes = {"clip_l": {layer: (random(768, 3, seed=layer), random(3, 32, seed=9)) for layer in (2, 3)}}
    return ConceptEdit(parse_concept_recipe(LINES), changes, {}, (None,))


def same(found, expected):
    return found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in found)


def test_the_lora_of_an_edit_is_of_the_projections_that_its_recipe_chooses(inputs):
    told = []
    edit = an_edit(f"! blocks: mid\n{LINES}")

    def progress(count):
        told.append(count)
        return lambda: told.append("layer")

    family, found = any_lora(edit, lambda: inputs, 0.5, torch.bfloat16, progress)
    expected = lora_tensors(edit, inputs.family, inputs.projections[:2], WEIGHTS, 0.5, torch.bfloat16)
    assert family is inputs.family and same(found, expected) and len(found) == 6
    assert told == [2, "layer", "layer"]
    whole = lora_tensors(an_edit(), inputs.family, inputs.projections, WEIGHTS)
    assert same(any_lora(an_edit(), lambda: inputs)[1], whole) and len(whole) == 12


def test_the_lora_of_concepts_needs_no_model():
    edit = a_concept_edit()
    family, found = any_lora(edit, lambda: pytest.fail("the model was asked for"), 0.5, torch.bfloat16)
    assert family.name == "SD 1.x" and same(found, concept_lora_tensors(edit, 0.5, torch.bfloat16))
    assert same(any_lora(edit, lambda: pytest.fail("the model was asked for"))[1], concept_lora_tensors(edit))


def test_a_lora_of_another_width_is_refused_before_weights_are_read():
    shapes = {key: (24, 1024) for key in WEIGHTS}
    wider = TextInputs.of_shapes(shapes, lambda key, every: pytest.fail("a weight was read"))
    with pytest.raises(EditError, match=r"gives 768 numbers a token, but this SD 2\.x model reads 1024"):
        any_lora(an_edit(), lambda: wider)


@pytest.mark.parametrize("make", [an_edit, a_concept_edit])
def test_the_file_is_named_in_its_header_and_says_what_was_asked(tmp_path, inputs, make):
    edit, path = make(), tmp_path / "blue roses.safetensors"
    family, tensors = any_lora(edit, lambda: inputs)
    write_any_lora(path, edit, family, tensors)
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
        assert same({key: file.get_tensor(key) for key in file.keys()}, tensors)  # noqa: SIM118
    assert header["modelspec.title"] == "blue roses" and header["modelspec.architecture"] == family.architecture
    assert header["edit_assumption.recipe"] == edit.recipe.to_text() and edit.changes_what in header["modelspec.description"]
