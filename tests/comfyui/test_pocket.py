"""The pocket model in a real ComfyUI: the same pictures as from diffusers, and edits on it."""

import numpy as np
import pytest
import torch
from comfy_graphs import POCKET_GUIDANCE as GUIDANCE
from comfy_graphs import POCKET_SEED as SEED
from comfy_graphs import POCKET_STEPS as STEPS
from comfy_graphs import PocketGraph, latent_of, text
from formulas import distance
from PIL import Image


def run(comfy, graph):
    """Latent, and picture from -1 to 1."""
    outputs = comfy.run(graph)
    with Image.open(comfy.output(outputs[graph.named["picture"][0][0]]["images"][0])) as image:
        picture = torch.from_numpy(np.asarray(image.convert("RGB"), dtype=np.float32)).permute(2, 0, 1) / 127.5 - 1
    return latent_of(comfy, graph, outputs), picture


@pytest.fixture(scope="module")
def pipe():
    diffusers = pytest.importorskip("diffusers")
    from edit_assumption.pocket.model import pipeline

    pipe = pipeline()
    pipe.scheduler = diffusers.EulerDiscreteScheduler.from_config(pipe.scheduler.config, timestep_spacing="linspace")
    return pipe


@pytest.mark.parametrize("source", [None, "a pack of roses"], ids=["plain", "edited"])
def test_the_picture_is_that_of_the_diffusers_pipeline(comfy, pipe, source):
    from edit_assumption.editing.assumptions.edit import make_edit
    from edit_assumption.editing.assumptions.prompt_pair import PromptPair
    from edit_assumption.editing.assumptions.recipe import Recipe
    from edit_assumption.pipelines.generate import generate
    from edit_assumption.pipelines.pipeline_encoder import PipelineEncoder
    from edit_assumption.pipelines.pipeline_moments import moment_of
    from edit_assumption.pocket.captions import ordinary_captions

    graph, context_map = PocketGraph(), None
    if source:
        node, encode = graph.edit(regularizer="captions"), PipelineEncoder(pipe)
        recipe = Recipe((PromptPair(source, "a pack of blue roses"),))
        context_map = make_edit(recipe, encode, moment=moment_of(pipe, ordinary_captions())).context_map
    ours, picture = run(comfy, graph.sample("roses in a field"))
    theirs = generate(pipe, ["roses in a field"], [SEED], context_map, steps=STEPS, guidance=GUIDANCE)[0]
    assert ours.shape == (1, 32, 6, 6) and picture.shape == theirs.shape == (3, 48, 48)
    # Eight bits a colour are half a 255th, which is 0.004 here; text and weights are in half precision.
    assert float((picture - theirs).abs().max()) < 0.05 and float((picture - theirs).abs().mean()) < 0.004
    if source:
        assert "7 keys, 7 values" in text(graph.outputs, node)
        plain, _ = run(comfy, PocketGraph().sample("roses in a field"))
        assert distance(ours, plain) > 0.01
