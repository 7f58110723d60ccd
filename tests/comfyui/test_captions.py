"""The default regularizer in a real ComfyUI: the second moment of captions and vocabulary in the host's own CLIP."""

import pytest
import torch
from comfy_graphs import DESTINATION, SOURCE, Pipeline, encoded_by_host, loaded_weights, sentences
from edit_assumption.editing.assumptions.edit import CARRIED
from edit_assumption.editing.encoding import SHORT_PADDING
from edit_assumption.editing.ordinary_captions import ordinary_captions
from edit_assumption.editing.vocabulary import whole_words
from formulas import distance, insertion, published_map
from safetensors import safe_open

CLIPTokenizer = pytest.importorskip("transformers", reason="transformers is not installed").CLIPTokenizer


def test_captions_and_words_are_what_the_node_holds_in_place(comfy):
    """The rows are taken from what the host makes of whole windows; the node reads short ones, where they are the same."""
    weights, _ = loaded_weights(comfy, Pipeline().sample())
    graph = Pipeline()
    graph.edit(regularizer="captions")
    after, _ = loaded_weights(comfy, graph.sample())
    path = max((comfy.base / "user/edit_assumption/moments").glob("*.safetensors"), key=lambda path: path.stat().st_mtime)
    with safe_open(path, "pt") as file:
        kept = {name: file.get_tensor(name).double() / float(file.metadata()[name]) for name in ("captions", "words")}
        assert float(file.metadata()["words"]) == 5000 * 76

    tokenizer = CLIPTokenizer.from_pretrained(comfy.folder / "comfy/sd1_tokenizer")
    prompts = [f"a {word}" for word in whole_words(tokenizer.get_vocab())[::40]]
    encoded = encoded_by_host(comfy, [*sentences(), *ordinary_captions(), *prompts])

    def moment_over(texts):
        total, count = 0, 0
        for text, ids in zip(texts, tokenizer(list(texts))["input_ids"], strict=True):
            rows = encoded[text].double()
            short = rows[1 : len(ids) + SHORT_PADDING].clone()  # without the start token
            short[-1] *= (1 + len(rows) - 1 - len(short)) ** 0.5
            total, count = total + short.T @ short, count + len(rows) - 1
        return total / count

    assert distance(kept["captions"], moment_over(ordinary_captions())) < 1e-3
    assert distance(kept["words"], moment_over(prompts)) < 0.1  # a fortieth of them
    moment = 0.3 * kept["captions"] + 0.7 * kept["words"]
    moment = 0.998 * moment + 0.002 * torch.diag(moment.diagonal())
    width = len(moment)
    expected = published_map(*insertion(encoded, SOURCE, DESTINATION, 4), regularization=0.1 * 100 * width, prior=moment)
    factors = set()
    for key, weight in weights.items():
        found, solved = after[key].double() - weight, weight.double() @ expected - weight
        factors.add(round(factor := float((found * solved).sum() / solved.square().sum()), 3))
        assert distance(found, factor * solved) < 1e-3, key
    assert len(factors) == 1 and 1 < factors.pop() <= CARRIED.most
