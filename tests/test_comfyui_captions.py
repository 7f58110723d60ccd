"""The default regularizer in a real ComfyUI: the second moment of ordinary captions in the host's own CLIP."""

import torch
from comfy_graphs import DESTINATION, SOURCE, Pipeline, encoded_by_host, loaded_weights, sentences
from edit_assumption.editing.captions import ordinary_captions
from formulas import distance, insertion, published_map


def test_captions_are_what_the_node_holds_in_place(comfy):
    weights, _ = loaded_weights(comfy, Pipeline().sample())
    encoded = encoded_by_host(comfy, [*sentences(), *ordinary_captions()])
    rows = torch.cat([encoded[caption][1:].double() for caption in ordinary_captions()])  # without the start token
    moment = rows.T @ rows / len(rows)
    width = len(moment)
    moment = 0.98 * moment + 0.02 * torch.diag(moment.diagonal())
    expected = published_map(*insertion(encoded, SOURCE, DESTINATION, 4), regularization=0.1 * 10 * width, prior=moment)
    graph = Pipeline()
    graph.edit(regularizer="captions")
    after, _ = loaded_weights(comfy, graph.sample())
    for key, weight in weights.items():
        assert distance(after[key].double() - weight, weight.double() @ expected - weight) < 1e-3, key
    assert len(list((comfy.base / "user/edit_assumption/moments").glob("*.safetensors"))) >= 1
