"""What tests of several nodes do with edits in a real ComfyUI: make them, save them, put them on, look at their pictures."""

import numpy as np
import torch
from comfy_graphs import Pipeline, latent_of, node_id, text
from PIL import Image

LINES = "rose -> tulip\nwizard -> king\nstar -> tree\ncat -> dog\ncar -> boat\napple -> balloon"
TEMPLATES = "a {}\na photo of a {}\nan image of a {}\n{}"
TULIPS = dict(source="a vase of tulips", destination="a vase of black tulips")


def concepts(graph, lines=LINES, templates=TEMPLATES, clip=None, **inputs):
    """The node, behind the graph's CLIP."""
    node = graph.add(
        "EditAssumptionConcepts", clip=clip or graph.clip, concepts=lines, templates=templates,
        **{"mode": "text", "regularization": 0.5, "drawing_seed": 0, **inputs},
    )  # fmt: skip
    graph.clip = node[0]
    return node


def saved_edit(server, prefix="assumption_edits/test", family="sd1", clip_skip=None, **inputs):
    """Run an edit and save it; its picture and the name that Load Edit lists it under."""
    graph = Pipeline(family)
    if clip_skip:
        graph.clip_skip(clip_skip)
    node = graph.edit(**inputs)
    save = graph.add("EditAssumptionSaveEdit", edit=node[1], filename_prefix=prefix)
    outputs = server.run(graph.sample())
    name = text(outputs, save).removeprefix("Saved assumption_edits/").partition(" (")[0]
    return latent_of(server, graph, outputs), name


def chained(graph, *rows):
    """The same with Load Edit and Apply Edit."""
    for name, strength in rows:
        edit = graph.add("EditAssumptionLoadEdit", edit_name=name, clip=graph.clip)
        node = graph.add("EditAssumptionApplyEdit", model=graph.model, edit=edit[0], strength=strength, clip=graph.clip)
        graph.model, graph.clip = node[:2]
    return graph


def picture(comfy, graph):
    outputs = comfy.run(graph)
    return pixels_of(comfy, outputs[node_id(graph.named["picture"])]["images"][0])


def pixels_of(comfy, entry):
    with Image.open(comfy.output(entry)) as image:
        return torch.from_numpy(np.asarray(image.convert("RGB"), dtype=np.float32)).permute(2, 0, 1) / 127.5 - 1
