"""Prompt with Edits in a real ComfyUI: ``<edit:name:0.8>`` is the chain of Load Edit and Apply Edit."""

import pytest
import torch
from comfy_edits import TULIPS, chained, concepts, saved_edit
from comfy_graphs import Pipeline, PocketGraph, latent, latent_of, node_id, text
from comfy_server import RunError

PROMPT = "a field of (roses:1.2) and tulips"


def prompted(graph, written):
    """The graph, its prompt read by the node and everything else by its outputs."""
    node = graph.add("EditAssumptionPrompt", model=graph.model, clip=graph.clip, text=written)
    graph.model, graph.clip = node[:2]
    graph.sample("not read")
    sampler = graph.nodes[node_id([graph.sampled[0]])]
    sampler["inputs"]["positive"] = node[2]
    return node


@pytest.fixture(scope="module")
def names(comfy):
    return [
        saved_edit(comfy, prefix=f"prompted/{name}", **edit)[1] for name, edit in (("Red Roses", {}), ("black tulips", TULIPS))
    ]


@pytest.mark.parametrize(
    "written",
    [
        "<edit:red roses:0.8>{} <edit:black tulips:-0.5>",
        "{}<edit:prompted/BLACK tulips:-0.5> <edit:red roses:2><edit:prompted/Red Roses_00001_.safetensors:0.8>",
    ],
)
def test_it_is_the_chain(comfy, names, written):
    graph = Pipeline()
    node = prompted(graph, written.replace("{}", PROMPT))
    shown = graph.add("PreviewAny", source=node[3])
    outputs = comfy.run(graph)
    chain = chained(Pipeline(), (names[0], 0.8), (names[1], -0.5))
    assert torch.equal(latent_of(comfy, graph, outputs), latent(comfy, chain.sample(PROMPT)))
    assert outputs[node_id(shown)]["text"][0].strip() == PROMPT
    assert "a vase of tulips → a vase of black tulips @ -0.5" in text(outputs, node)


def test_without_a_mark_or_at_strength_zero_nothing_changes(comfy, names):
    plain = latent(comfy, Pipeline().sample(PROMPT))
    for written in (PROMPT, f"{PROMPT}<edit:red roses:0>"):
        graph = Pipeline()
        node = prompted(graph, written)
        outputs = comfy.run(graph)
        assert torch.equal(latent_of(comfy, graph, outputs), plain)
        assert text(outputs, node) == "No edit is on: the model and the CLIP are unchanged."


def test_concepts_are_on_the_clip_that_encodes(comfy):
    graph = PocketGraph()
    edit = concepts(graph, "wizard -> king")
    save = graph.add("EditAssumptionSaveEdit", edit=edit[1], filename_prefix="prompted/monarchs")
    name = text(comfy.run(graph), save).removeprefix("Saved assumption_edits/").partition(" (")[0]
    graph = PocketGraph()
    prompted(graph, "a wizard <edit:monarchs:0.5>")
    assert torch.equal(latent(comfy, graph), latent(comfy, chained(PocketGraph(), (name, 0.5)).sample("a wizard")))


def test_a_prompt_from_another_node_and_a_file_that_changed(comfy):
    _, name = saved_edit(comfy, prefix="prompted/renewed")
    graph = Pipeline()
    written = graph.add("PrimitiveStringMultiline", value=f"{PROMPT}<edit:renewed>")
    prompted(graph, written[0])
    before = latent(comfy, graph)
    folder = comfy.base / "output/assumption_edits"
    (folder / saved_edit(comfy, prefix="prompted/half", strength=0.5)[1]).replace(folder / name)
    after = latent(comfy, graph)
    assert not torch.equal(before, after)
    assert torch.equal(after, latent(comfy, chained(Pipeline(), (name, 1.0)).sample(PROMPT)))


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("<edit:nowhere>", "No edit is saved as “nowhere”; saved edits are “"),
        ("<edit:twice:1>", "Several edits are called “twice”; write one of “prompted/twice_00001_."),
        ("<edit:red roses:much>", "In the prompt, the strength in <edit:red roses:much> is no number; write"),
        ("<edit:red roses:3>", "“prompted/Red Roses_00001_.safetensors”: The strength is 3; give a number between -2 and 2."),
        ("<edit:red roses", "In the prompt, “<edit:red roses” has no “>” behind a name; write <edit:blue roses:0.8>."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence(comfy, names, written, sentence):
    if "twice" in written:
        for strength in (1.0, 0.5):
            saved_edit(comfy, prefix="prompted/twice", strength=strength)
    graph = Pipeline()
    prompted(graph, f"{PROMPT} {written}")
    with pytest.raises(RunError) as error:
        comfy.run(graph)
    assert len(error.value.sentences) == 1 and error.value.sentences[0].startswith(sentence)
    assert "\n" not in error.value.sentences[0]
