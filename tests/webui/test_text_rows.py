"""Models that are edited by their text, and WebUIs that are not known."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from edit_assumption.editing.assumptions.context_map import ContextMap
from edit_assumption.extension.text_rows import ROWS, MappedRows, RowInputs
from servers import REPOSITORY
from webui_server import HOW_TO, installed, python_of, wanted

ENGINES = ("Flux2", "ZImage", "QwenImage", "Chroma", "Wan", "Lumina2", "Anima")
LAST_LETTER = {"Wan": "rose"}  # this engine drops it from every prompt


@pytest.fixture(scope="module")
def rows():
    """What Forge Neo's own text engines make of prompts."""
    if "Forge Neo" not in wanted():
        pytest.skip(f"no Forge Neo is installed: {HOW_TO}")
    folder = installed()["Forge Neo"]
    command = [python_of(folder), REPOSITORY / "tests/support/neo_rows.py"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    environment.pop("PYTHONPATH", None)
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    (line,) = [line for line in run.stdout.splitlines() if line.startswith("ROWS ")] or [pytest.fail(run.stderr[-3000:])]
    return json.loads(line.removeprefix("ROWS "))


@pytest.mark.parametrize("name", ENGINES)
def test_the_words_are_found_between_a_template_and_padding(rows, name):
    field, empty, roses = (said.replace("Ġ", "▁").removeprefix("▁") for said in rows[name]["words"])
    last = LAST_LETTER.get(name, "roses")
    assert (field, empty, roses) == (f"a▁field▁of▁{last}", "", last)


@pytest.mark.parametrize("name", ENGINES)
def test_the_rows_are_those_that_the_model_is_handed(rows, name):
    assert rows[name]["same"]


def test_padding_is_left_out_of_short_windows(rows):
    assert {name: rows[name]["short"] for name in ENGINES} == {**dict.fromkeys(ENGINES), "Flux2": [True] * 3, "Wan": [True] * 3}


@pytest.mark.parametrize("name", ENGINES)
def test_the_source_becomes_the_destination(rows, name):
    assert rows[name]["away"] < 0.15
    assert "the text is changed before the model reads it" in rows[name]["report"] and "packed" not in rows[name]["report"]


def some_map(seed, width=8):
    generator = torch.Generator().manual_seed(seed)
    return ContextMap(torch.randn(width, 2, generator=generator), torch.randn(2, width, generator=generator))


@pytest.mark.parametrize("shape", [(2, 5, 8), (2, 1, 5, 8)])
def test_all_rows_are_mapped_as_weights_would_map_them(shape):
    first, second = some_map(1), some_map(2)
    rows = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    weight = torch.randn(4, 8, generator=torch.Generator().manual_seed(4))
    params = SimpleNamespace(text_cond=rows, text_uncond={"crossattn": rows, "vector": rows})
    mapped = MappedRows([first, second])
    mapped.change(params)
    expected = rows @ second.apply_to_weight(first.apply_to_weight(weight)).T
    for found in (params.text_cond, params.text_uncond["crossattn"]):
        torch.testing.assert_close(found @ weight.T, expected, rtol=1e-4, atol=1e-4)
    assert params.text_uncond["vector"] is rows


def test_a_sampler_that_tells_of_no_step_is_reported():
    mapped = MappedRows([some_map(1)])
    assert "not in the picture" in mapped.problem
    mapped.change(SimpleNamespace(text_cond=torch.ones(1, 2, 8), text_uncond=None))
    assert not mapped.problem and not MappedRows([]).problem


def test_a_model_of_rows_has_one_place_where_text_enters():
    inputs = RowInputs.of("ZImage", 8)
    assert inputs.family.name == "ZImage" and inputs.widths == {ROWS: 8}


def test_a_webui_that_is_not_known_is_told_so_in_one_sentence():
    command = [sys.executable, REPOSITORY / "scripts/edit_assumption.py"]
    run = subprocess.run(command, capture_output=True, text=True, cwd="/")
    assert run.returncode == 0 and not run.stderr
    (line,) = run.stdout.splitlines()
    assert "does not know this WebUI" in line and "Forge Neo" in line
