"""Edits on weights that ComfyUI-GGUF keeps packed, through its own patcher."""

import pytest
import torch
from comfy_graphs import Drawing, Pipeline, latent, text
from comfy_server import RunError
from formulas import distance

NAME = "random.gguf"


class PackedGraph(Drawing):
    def __init__(self):
        super().__init__("UnetLoaderGGUF", unet_name=NAME)
        self.clip = self.add("TestModel", family="sd1", size="small", weights="")[1]


@pytest.fixture(scope="module")
def packed(comfy):
    if not comfy.reads_gguf:
        pytest.skip("ComfyUI-GGUF is not installed: clone it into the custom_nodes of this ComfyUI, with the package gguf")
    graph = Pipeline()
    graph.add("TestGGUF", name=NAME)
    comfy.run(graph)
    return PackedGraph


def test_an_edit_of_packed_weights_is_the_edit_of_the_prompt(comfy, packed):
    plain = latent(comfy, packed().sample())
    graph = packed()
    node = graph.edit()
    expected = latent(comfy, graph.sample())
    assert "7 keys, 7 values" in text(graph.outputs, node) and "packed" in text(graph.outputs, node)
    assert distance(expected, plain) > 1e-3
    on_prompt = packed()
    edit = on_prompt.edit()[1]
    on_prompt.model = on_prompt.loaded

    def through(link):
        return on_prompt.add("EditAssumptionConditioning", conditioning=link, edit=edit, strength=1.0)[0]

    assert distance(latent(comfy, on_prompt.sample(through=through)), expected) < 1e-3
    assert torch.equal(latent(comfy, packed().sample()), plain)


def test_a_lora_of_packed_weights_is_refused(comfy, packed):
    graph = packed()
    node = graph.edit()
    into = dict(filename_prefix="loras/packed", tolerance=0.0, precision="float32")
    graph.add("EditAssumptionSaveLora", model=graph.loaded, edit=node[1], **into)
    with pytest.raises(RunError, match="weights are packed"):
        comfy.run(graph)
