"""Checkpoints that ComfyUI itself keeps quantised (fp8 with a scale, int8, nvfp4, …) are edited like any others."""

import re

import pytest
import torch
from comfy_graphs import Drawing, PocketGraph, latent, text
from comfy_server import RunError
from formulas import distance
from safetensors.torch import load_file

FORMATS = {"float8_e4m3fn": (0.027, 0.2), "int8_tensorwise": (0.012, 0.2), "nvfp4": (0.096, 0.8)}
"""How far the format's rounding moves random weights, and at most what an edit changes in a picture of theirs."""
EXACT = dict(tolerance=0.0, precision="float32")


class QuantisedGraph(Drawing):
    def __init__(self, name):
        super().__init__("TestQuantisedModel", format=name)


@pytest.fixture(scope="module")
def known(comfy):
    """The formats of this host."""
    entry = comfy.get("/object_info/TestQuantisedModel")["TestQuantisedModel"]["input"]["required"]["format"]
    return entry[0] if isinstance(entry[0], list) else entry[1]["options"]


def drawn(comfy, name, **edit):
    graph = QuantisedGraph(name)
    node = graph.edit(**edit) if edit else None
    picture = latent(comfy, graph.sample())
    return picture, text(graph.outputs, node) if node else ""


def lora(comfy, name):
    graph = QuantisedGraph(name)
    node = graph.edit()
    graph.add("EditAssumptionSaveLora", model=graph.loaded, edit=node[1], filename_prefix=f"loras/{name}", **EXACT)
    comfy.run(graph)
    return load_file(comfy.base / f"output/loras/{name}_00001_.safetensors")


def moved_by(report):
    return [float(part) for part in re.findall(r"changed by ([\d.]+) %", report)]


@pytest.fixture(scope="module")
def unquantised(comfy):
    """The plain picture, the edited one, what the node said, the LoRA."""
    return drawn(comfy, "none")[0], *drawn(comfy, "none", strength=1.0), lora(comfy, "none")


@pytest.mark.parametrize("name", FORMATS)
def test_a_quantised_model_is_edited_as_the_unquantised_one(comfy, known, unquantised, name):
    if name not in known:
        pytest.skip(f"this ComfyUI does not know {name}")
    plain, wanted, told, exact = unquantised
    rounding, near = FORMATS[name]
    before = drawn(comfy, name)[0]
    assert not torch.equal(before, plain)
    assert torch.equal(drawn(comfy, name, strength=0.0)[0], before)
    after, said = drawn(comfy, name, strength=1.0)
    assert distance(after - before, wanted - plain) < near
    assert "7 keys, 7 values" in said and moved_by(said) == pytest.approx(moved_by(told), rel=0.02)
    assert torch.equal(drawn(comfy, name)[0], before)
    saved = lora(comfy, name)
    assert saved.keys() == exact.keys()
    for key in exact:
        assert distance(saved[key], exact[key]) < rounding, key


def test_layers_that_scale_what_they_read_are_edited_by_text(comfy, known, unquantised):
    name = "nvfp4_smoothed"
    if name not in known:
        pytest.skip(f"this ComfyUI does not know {name}")
    plain, wanted, *_ = unquantised
    before = drawn(comfy, name)[0]
    after, said = drawn(comfy, name, strength=1.0)
    assert distance(after - before, wanted - plain) < FORMATS["nvfp4"][1] and "put on the text" in said
    with pytest.raises(RunError, match=r"scale it first, so no weight does what an edit says; let “applied_to” be text"):
        drawn(comfy, name, strength=1.0, applied_to="weights")


def test_hooks_on_a_quantised_model_are_refused(comfy, known):
    if "float8_e4m3fn" not in known:
        pytest.skip("this ComfyUI has no quantised models")
    graph = QuantisedGraph("float8_e4m3fn")
    node = graph.edit()
    hooks = graph.add("EditAssumptionHook", model=graph.loaded, edit=node[1], strength=1.0)[0]
    graph.model = graph.loaded
    graph.sample(
        through=lambda link: graph.add(
            "ConditioningSetProperties", cond_NEW=link, strength=1.0, set_cond_area="default", hooks=hooks
        )[0]
    )
    with pytest.raises(RunError, match=r"cannot use hooks on a quantised model; .* Edit Conditioning"):
        comfy.run(graph)


PROMPTS = "a rose\na photo of a rose\na vase of tulips on a table"


def encoded(comfy, name, strength):
    """What the pocket model's CLIP, quantised, makes of the prompts, and what the node said."""
    graph = PocketGraph()
    clip = graph.add("TestQuantisedClip", clip=graph.clip, format=name)[0]
    node = graph.add(
        "EditAssumptionConcepts", clip=clip, concepts="rose -> tulip", templates="a {}\n{}", mode="text", regularization=0.5,
        drawing_seed=0,
        statistics=graph.add(
            "EditAssumptionConceptStatistics", clip=clip, captions="captions of the pack", count=100, layers="1, 2"
        )[0],
    )  # fmt: skip
    edited = graph.add("EditAssumptionApplyEdit", model=graph.model, edit=node[1], strength=strength, clip=clip)[1]
    file = f"clip-{name}-{strength}.safetensors"
    graph.add("TestEncode", clip=edited, text=PROMPTS, name=file)
    comfy.run(graph)
    rows = load_file(comfy.base / "output" / file)
    return torch.stack([rows[prompt] for prompt in PROMPTS.splitlines()])


@pytest.mark.parametrize("name", ["float8_e4m3fn", "int8_tensorwise"])
def test_concepts_in_a_quantised_text_encoder(comfy, known, name):
    if name not in known:
        pytest.skip(f"this ComfyUI does not know {name}")
    plain, wanted = encoded(comfy, "none", 0.0), encoded(comfy, "none", 1.0)
    before, after = encoded(comfy, name, 0.0), encoded(comfy, name, 1.0)
    assert not torch.equal(before, plain)
    assert distance((after - before)[:2], (wanted - plain)[:2]) < 0.5  # the host rounds the two layers that are edited anew
