"""An EDIT from a CLIP alone: for Edit Conditioning, where the pack does not know the model."""

from typing import ClassVar

import pytest
import torch
from comfy_graphs import DEFAULTS, DESTINATION, SOURCE, Drawing, PocketGraph, latent, node_id, text
from comfy_server import RunError
from formulas import distance
from safetensors.torch import load_file

ROSES = dict(source="roses", destination="blue roses", strength=1.0)
NODES = {
    "EditAssumption": ROSES,
    "EditAssumptionList": dict(recipe="roses -> blue roses\n= a pack of tulips"),
    "EditAssumptionConceptSlider": dict(concept="roses", more="blue roses", less="", strength=1.0),
    "EditAssumptionErase": dict(concepts="roses", instead="", passes=1, keep="none", strength=1.0),
    "EditAssumptionDebias": dict(
        subject="a wizard", variants="a wizard with a hat\na wizard without a hat", pictures=2, rounds=1, tolerance=5.0,
        seed=0, steps=2, cfg=3.0, sampler_name="euler", scheduler="normal", sentence="{}", negative="",
    ),
}  # fmt: skip


def saved(comfy, graph, edit, name):
    """The edit, by its file."""
    graph.add("EditAssumptionSaveEdit", edit=edit, filename_prefix=f"clip_alone/{name}")
    comfy.run(graph)
    return load_file(sorted((comfy.base / "output/assumption_edits/clip_alone").glob(f"{name}_*.safetensors"))[-1])


def on_prompts(graph, edit, strength=1.0):
    """What puts the edit on the conditionings of a graph."""
    return lambda link: graph.add("EditAssumptionConditioning", conditioning=link, edit=edit, strength=strength)[0]


@pytest.mark.parametrize("regularizer", ["captions", "identity"])
@pytest.mark.parametrize("name", NODES)
def test_every_editing_node_makes_the_same_edit_without_a_model(comfy, name, regularizer):
    graph = PocketGraph()
    inputs = {**DEFAULTS, **NODES[name], "regularizer": regularizer}
    alone, put_on = graph.add(name, clip=graph.clip, **inputs), graph.add(name, model=graph.loaded, clip=graph.clip, **inputs)
    wanted, found = saved(comfy, graph, put_on[1], "wanted"), saved(comfy, graph, alone[1], "alone")
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)
    told = text(graph.outputs, alone)
    assert "put on no model" in told and "patched" not in told.replace("solved and patched", "")


def test_on_the_prompts_it_gives_the_picture_of_the_edited_model(comfy):
    graph = PocketGraph()
    graph.edit(**ROSES)
    wanted = latent(comfy, graph.sample("roses"))
    plain = latent(comfy, PocketGraph().sample("roses"))
    assert distance(wanted, plain) > 0.1
    for strength, expected, near in ((1.0, wanted, 1e-3), (0.0, plain, 0.0)):
        graph = PocketGraph()
        edit = graph.add("EditAssumption", clip=graph.clip, **{**DEFAULTS, **ROSES})[1]
        assert distance(latent(comfy, graph.sample("roses", through=on_prompts(graph, edit, strength))), expected) <= near


def test_the_unused_model_output_stops_only_what_is_behind_it(comfy):
    graph = PocketGraph()
    node = graph.add("EditAssumption", clip=graph.clip, **{**DEFAULTS, **ROSES})
    graph.model = node[0]
    graph.sample("roses")
    shown = graph.add("EditAssumptionPreviewEdit", edit=node[1], clip=graph.clip, related="roses", unrelated="a cat")
    outputs = comfy.run(graph)
    assert node_id(graph.named["latent"]) not in outputs
    assert "roses" in text(outputs, shown)


def test_a_judge_needs_the_model(comfy):
    graph = PocketGraph()
    judge = graph.add("EditAssumptionPocketJudge")[0]
    inputs = {**DEFAULTS, **NODES["EditAssumptionDebias"], "way": "in the weights", "judge": judge}
    node = graph.add("EditAssumptionDebias", clip=graph.clip, **inputs)
    graph.add("EditAssumptionSaveEdit", edit=node[1], filename_prefix="none")
    with pytest.raises(RunError, match="connect the MODEL, or disconnect the judge"):
        comfy.run(graph)


class UnknownGraph(Drawing):
    """Krea 2: layers of its own read several layers of the encoder side by side."""

    negative = ""
    sampling: ClassVar = dict(Drawing.sampling, cfg=2.0, scheduler="simple")

    def __init__(self):
        super().__init__("TestFamily", family="krea2")


def test_the_refusal_of_an_unknown_model_can_be_followed(comfy):
    if "krea2" not in comfy.get("/object_info")["TestFamily"]["input"]["required"]["family"][1]["options"]:
        pytest.skip("this ComfyUI does not know Krea 2")
    refused = UnknownGraph()
    refused.edit(applied_to="weights")
    with pytest.raises(RunError, match=r"has no place where text enters that is known.* let “applied_to” be text"):
        comfy.run(refused.sample())
    plain = latent(comfy, UnknownGraph().sample(SOURCE))
    pictures = []
    for strength in (0.0, 1.0):
        graph = UnknownGraph()
        inputs = {**DEFAULTS, "augmentations": "", "source": SOURCE, "destination": DESTINATION, "strength": 1.0}
        edit = graph.add("EditAssumption", clip=graph.clip, **inputs)[1]
        pictures.append(latent(comfy, graph.sample(SOURCE, through=on_prompts(graph, edit, strength))))
    assert torch.equal(pictures[0], plain)
    assert distance(pictures[1], plain) > 1e-3


def test_flags_among_the_tokens_are_handed_on(comfy):
    graph = PocketGraph()
    flagged = graph.add("TestFlags", clip=graph.clip)[0]
    inputs = {**DEFAULTS, **ROSES, "pooled": True}
    wanted = saved(comfy, graph, graph.add("EditAssumption", clip=graph.clip, **inputs)[1], "unflagged")
    found = saved(comfy, graph, graph.add("EditAssumption", clip=flagged, **inputs)[1], "flagged")
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)


def test_tokens_that_go_to_the_model_beside_the_rows_are_refused(comfy):
    if "TestAnimaClip" not in comfy.get("/object_info"):
        pytest.skip("this ComfyUI does not know Anima")
    graph = PocketGraph()
    node = graph.add("EditAssumption", clip=graph.add("TestAnimaClip")[0], **{**DEFAULTS, **ROSES})
    graph.add("EditAssumptionSaveEdit", edit=node[1], filename_prefix="none")
    with pytest.raises(RunError, match=r"more of each prompt than its embeddings \(t5xxl_ids\), which no edit reaches"):
        comfy.run(graph)


@pytest.mark.parametrize("name", ["t5xxl_ids", "direct_context"])
@pytest.mark.parametrize("way", ["conditioning", "text", "chance"])
def test_text_that_a_conditioning_holds_beside_its_rows_is_refused(comfy, name, way):
    def through(link):
        beside = graph.add("TestTextBeside", conditioning=link, name=name)[0]
        return on_prompts(graph, edit)(beside) if way == "conditioning" else beside

    graph = PocketGraph()
    if way == "chance":
        graph.edit_by("EditAssumptionList", recipe="a wizard -> a wizard with a hat | a wizard without a hat")
    elif way == "text":
        graph.edit(**ROSES, applied_to="text")
    else:
        edit = graph.add("EditAssumption", clip=graph.clip, **{**DEFAULTS, **ROSES})[1]
    graph.sample("roses", through=through)
    with pytest.raises(RunError, match=rf"holds more of each prompt than its embeddings \({name}\), which no edit reaches"):
        comfy.run(graph)
