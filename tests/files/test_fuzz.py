"""A thousand malformed recipes, edit files and LoRA exports: each gives a sentence, and no file but its own."""

import json
import math
import struct

import pytest
import torch
from edit_assumption.editing.assumptions.context_map import ContextMap
from edit_assumption.editing.assumptions.edit import Edit
from edit_assumption.editing.assumptions.edit_lora import lora_tensors
from edit_assumption.editing.assumptions.prompt_pair import PromptPair
from edit_assumption.editing.assumptions.recipe import Recipe, parse_recipe, recipe_from_json, recipe_from_lines
from edit_assumption.editing.edit_file import load_edit, save_edit
from edit_assumption.editing.encoder_identity import EncoderIdentity
from edit_assumption.editing.errors import EditError
from edit_assumption.editing.lora_file import lora_metadata, save_lora
from edit_assumption.editing.projections import find
from edit_assumption.editing.shares import Wanted, rounds_from_json
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

CASES = settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
WIDTH = 128
EDIT = Edit(
    recipe=Recipe((PromptPair("a rose", "a blue rose"),)),
    context_map=ContextMap(torch.randn(WIDTH, 2), torch.randn(2, WIDTH)),
    encoder=EncoderIdentity("a rose", torch.randn(4, WIDTH)),
    tokens=4,
    edited=2,
    residual=0.1,
)

MARKS = ["->", "@", "*", "=", "==", "!", "#", "\\", "|", ":", "-", "\0", "\n", "nan", "1e999", "passes", "blocks"]
lines = st.lists(st.sampled_from(MARKS) | st.text(max_size=6), max_size=30).map(" ".join)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def one_sentence(call):
    """The result, or None where the call was refused in words; any other exception is a failure."""
    try:
        return call()
    except EditError as error:
        message = str(error)
        assert len(message) > 10 and message[0] == message[0].upper() and "Traceback" not in message
        return None


@CASES
@given(lines)
def test_any_text_is_a_recipe_or_refused(text):
    recipe = one_sentence(lambda: parse_recipe(text))
    assert recipe is None or parse_recipe(recipe.to_text()) == recipe


@CASES
@given(st.sampled_from(sorted(json.loads(EDIT.recipe.to_json()))), values, lines)
def test_any_json_is_a_recipe_or_refused(entry, value, text):
    known = json.loads(EDIT.recipe.to_json())
    pair = {**known["pairs"][0], text: value}
    for data in ({**known, entry: value}, value, {**known, text: value}, {**known, "pairs": [pair]}):
        recipe = one_sentence(lambda data=data: recipe_from_json(json.dumps(data)))
        assert recipe is None or all(math.isfinite(pair.strength) for pair in recipe.pairs)
    one_sentence(lambda: recipe_from_json(text))
    one_sentence(lambda: recipe_from_lines(text, str(value)))
    one_sentence(lambda: rounds_from_json(Wanted("a", ("b", "c"), (0.5, 0.5)), json.dumps(value)))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "edit.safetensors"
    save_edit(EDIT, path)
    return path.read_bytes()


@CASES
@given(st.data())
def test_any_damaged_edit_file_is_read_or_refused(whole, tmp_path, data):
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(damaged) - 1) | st.integers(0, 600))
        damaged[place] = data.draw(st.integers(0, 255))
    kept = data.draw(st.just(len(damaged)) | st.integers(0, len(damaged)))
    path = tmp_path / "edit.safetensors"
    path.write_bytes(damaged[:kept])
    edit = one_sentence(lambda: load_edit(path))
    assert edit is None or edit.context_map.left.isfinite().all()


def rewritten(whole, change):
    """The file with its header's metadata or shapes changed."""
    (size,) = struct.unpack("<Q", whole[:8])
    header = json.loads(whole[8 : 8 + size])
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + whole[8 + size :]


@CASES
@given(st.data())
def test_any_header_is_read_or_refused(whole, tmp_path, data):
    def change(header):
        kind = data.draw(st.sampled_from(["text", "drop", "shape", "type"]))
        name = data.draw(st.sampled_from(sorted(header["__metadata__"])))
        tensor = data.draw(st.sampled_from(["left", "right", "encoder"]))
        if kind == "text":
            header["__metadata__"][name] = data.draw(st.text(max_size=20) | values.map(json.dumps))
        elif kind == "drop":
            del header["__metadata__"][name]
        elif kind == "shape":
            header[tensor]["shape"] = data.draw(st.lists(st.integers(0, 2**40), max_size=3))
        else:
            header[tensor]["dtype"] = data.draw(st.sampled_from(["F16", "F64", "I32", "BOOL", "F8_E4M3", "X"]))

    path = tmp_path / "edit.safetensors"
    path.write_bytes(rewritten(whole, change))
    edit = one_sentence(lambda: load_edit(path))
    assert edit is None or edit.context_map.left.shape[0] == edit.context_map.right.shape[1]


KEYS = [f"diffusion_model.input_blocks.{n}.1.transformer_blocks.0.attn2.to_{kind}.weight" for n in (1, 2) for kind in "kv"]


@CASES
@given(
    st.sampled_from([0.0, 1.0, math.nan, math.inf, 1e38, -1e38]),
    st.integers(1, 300),
    st.sampled_from([torch.float32, torch.float16, torch.bfloat16]),
    st.floats(0, 0.5),
    st.sampled_from(["edit", "../../x", "a/b", "..", "con", "é🌹", "x" * 40]),
)
def test_any_weights_give_a_lora_or_a_sentence(tmp_path, number, width, dtype, tolerance, name):
    weights = {key: torch.full((8, width), 1.0) for key in KEYS}
    weights[KEYS[0]][0, 0] = number

    def export():
        family, chosen = find({key: weight.shape for key, weight in weights.items()})
        tensors = lora_tensors(EDIT, family, chosen, weights, tolerance, dtype)
        return tensors, lora_metadata(EDIT, family, tensors, name)

    found = one_sentence(export)
    if found is None:
        return
    folder = tmp_path / "loras"
    folder.mkdir(exist_ok=True)
    save_lora(folder / "lora.safetensors", *found)
    assert all(tensor.isfinite().all() for tensor in load_file(folder / "lora.safetensors").values())
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")} == {"loras", "loras/lora.safetensors"}
