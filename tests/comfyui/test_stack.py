"""Edit Stack in a real ComfyUI: the picture of a chain of Load Edit and Apply Edit."""

import pytest
import torch
from comfy_edits import TULIPS, chained, concepts, saved_edit
from comfy_graphs import Pipeline, PocketGraph, latent, latent_of, text
from comfy_server import RunError

DOCTOR = dict(source="a doctor", destination="a female doctor", regularization=0.2)


def stacked(graph, *rows, first=1):
    """The node, with (name, strength) or (name, strength, on) in its rows from ``first`` on."""
    inputs = {}
    for number, (name, strength, *on) in enumerate(rows, start=first):
        inputs |= {f"edit_{number}": name, f"strength_{number}": strength, f"on_{number}": on[0] if on else True}
    node = graph.add("EditAssumptionStack", model=graph.model, clip=graph.clip, **inputs)
    graph.model, graph.clip = node[:2]
    return node


@pytest.fixture(scope="module")
def names(comfy):
    return [
        saved_edit(comfy, prefix=f"assumption_edits/{prefix}", **edit)[1]
        for prefix, edit in (("roses", {}), ("tulips", TULIPS), ("sub/doctor", DOCTOR))
    ]


@pytest.mark.parametrize("turn", [1, -1], ids=["in order", "the other way"])
def test_it_is_the_chain(comfy, names, turn):
    rows = list(zip(names, (1.0, -0.5, 0.75), strict=True))[::turn]
    graph = Pipeline()
    node = stacked(graph, *rows)
    outputs = comfy.run(graph.sample())
    assert torch.equal(latent_of(comfy, graph, outputs), latent(comfy, chained(Pipeline(), *rows).sample()))
    assert "a vase of tulips → a vase of black tulips @ -0.5" in text(outputs, node)
    assert "the model now carries 3 edits: " in text(outputs, node)


def test_behind_an_edit_on_the_model_it_is_the_chain_too(comfy, names):
    rows = [(names[1], 0.5), (names[2], 1.0)]
    graph, other = Pipeline(), Pipeline()
    graph.edit()
    other.edit()
    stacked(graph, *rows)
    assert torch.equal(latent(comfy, graph.sample()), latent(comfy, chained(other, *rows).sample()))


def test_rows_that_are_off_at_zero_or_empty_change_nothing(comfy, names):
    plain = latent(comfy, Pipeline().sample())
    graph = Pipeline()
    node = stacked(graph, (names[0], 1.0, False), (names[1], 0.0), ("none", 1.0))
    outputs = comfy.run(graph.sample())
    assert torch.equal(latent_of(comfy, graph, outputs), plain)
    assert text(outputs, node) == "No edit is on: the model and the CLIP are unchanged."
    graph = Pipeline()
    stacked(graph, (names[0], 1.0, False), (names[1], 1.0), first=9)
    assert torch.equal(latent(comfy, graph.sample()), latent(comfy, chained(Pipeline(), (names[1], 1.0)).sample()))


def test_concepts_go_onto_the_clip_first(comfy):
    found = []
    for prefix, make in (("kings", lambda graph: concepts(graph, "wizard -> king")), ("roses", lambda graph: graph.edit())):
        graph = PocketGraph()
        save = graph.add("EditAssumptionSaveEdit", edit=make(graph)[1], filename_prefix=f"pocket/{prefix}")
        found.append(text(comfy.run(graph), save).removeprefix("Saved assumption_edits/").partition(" (")[0])
    kings, roses = found
    graph = PocketGraph()
    node = stacked(graph, (roses, 1.0), (kings, 0.5))
    outputs = comfy.run(graph.sample("a wizard and a rose"))
    chain = chained(PocketGraph(), (kings, 0.5), (roses, 1.0))
    assert torch.equal(latent_of(comfy, graph, outputs), latent(comfy, chain.sample("a wizard and a rose")))
    assert text(outputs, node).startswith("wizard → king\n")


def test_what_is_wrong_names_the_edit(comfy, names):
    for rows, sentence in (
        ([(names[0], 1.0), ("gone.safetensors", 1.0)], "The edit “gone.safetensors” is no longer there; choose another one."),
        ([(names[0], 3.0)], f"“{names[0]}”: The strength is 3; give a number between -2 and 2."),
    ):
        graph = Pipeline()
        stacked(graph, *rows)
        with pytest.raises(RunError) as error:
            comfy.run(graph.sample())
        assert error.value.sentences == [sentence]
    graph = Pipeline("sd2")
    stacked(graph, (names[0], 1.0))
    with pytest.raises(RunError, match=f"“{names[0]}”: This edit was made for another text encoder"):
        comfy.run(graph.sample())


def test_a_file_that_changed_is_read_again(comfy, names):
    _, name = saved_edit(comfy, prefix="assumption_edits/changing")
    graph = Pipeline()
    stacked(graph, (name, 1.0))
    before = latent(comfy, graph.sample())
    folder = comfy.base / "output/assumption_edits"
    (folder / saved_edit(comfy, strength=0.5)[1]).replace(folder / name)
    after = latent(comfy, graph)
    assert not torch.equal(before, after)
    assert torch.equal(after, latent(comfy, chained(Pipeline(), (name, 1.0)).sample()))
