"""Show Edits, and the line about other edits in every report, in a real ComfyUI."""

import torch
from comfy_edits import concepts, saved_edit
from comfy_graphs import DESTINATION, SOURCE, Pipeline, PocketGraph, latent, latent_of, node_id, text

ROSES = f"{SOURCE} → {DESTINATION}"
TULIPS = dict(source="a vase of tulips", destination="a vase of black tulips")


def show(graph, **inputs):
    return graph.add("EditAssumptionShowEdits", **inputs)


def test_it_shows_joint_and_later_edits_in_order_and_changes_no_picture(comfy):
    graph = Pipeline()
    before = show(graph, model=graph.model, clip=graph.clip)
    first = graph.edit()
    second = graph.edit(**TULIPS, strength=0.5)
    third = graph.edit(source="a doctor", destination="a female doctor", regularization=0.2)
    shown = show(graph, model=graph.model, clip=graph.clip)
    outputs = comfy.run(graph.sample())
    assert text(outputs, before) == "The MODEL carries no edit.\nThe CLIP carries no edit."
    assert text(outputs, shown).splitlines() == [
        "The MODEL carries 3 edits, applied in this order:",
        "1. solved together, regularizer: identity:",
        f"    {ROSES}",
        "    a vase of tulips → a vase of black tulips @ 0.5",
        "2. a doctor → a female doctor, regularizer: identity, regularization: 0.2",
        "The CLIP carries no edit.",
    ]
    assert "now carries" not in text(outputs, first)
    both = f"{ROSES}, a vase of tulips → a vase of black tulips @ 0.5 (solved together)"
    assert f"the model now carries 2 edits: {both}\n" in text(outputs, second)
    assert f"the model now carries 3 edits: {both}; then a doctor → a female doctor\n" in text(outputs, third)
    plain = Pipeline()
    plain.edit()
    plain.edit(**TULIPS, strength=0.5)
    plain.edit(source="a doctor", destination="a female doctor", regularization=0.2)
    assert torch.equal(latent_of(comfy, graph, outputs), latent(comfy, plain.sample()))


def test_its_text_is_an_output_and_an_applied_edit_has_its_strength(comfy):
    _, name = saved_edit(comfy)
    graph = Pipeline()
    edit = graph.add("EditAssumptionLoadEdit", edit_name=name, clip=graph.clip)
    for strength in (0.25, -0.5):
        applied = graph.add("EditAssumptionApplyEdit", model=graph.model, edit=edit[0], strength=strength)
        graph.model = applied[0]
    shown = show(graph, model=graph.model)
    again = graph.add("PreviewAny", source=shown[0])
    outputs = comfy.run(graph.sample())
    assert text(outputs, shown).splitlines()[1:] == [
        f"1. {ROSES}, at 25 % of its strength, regularizer: identity",
        f"2. {ROSES}, at 50 % of its strength, reversed, regularizer: identity",
    ]
    assert outputs[node_id(again)]["text"][0] == text(outputs, shown)
    assert "the model now carries 2 edits: " in text(outputs, applied)


def test_concept_edits_are_shown_on_the_clip(comfy):
    graph = PocketGraph()
    loaded = graph.clip
    first = concepts(graph, "rose -> tulip")
    second = concepts(graph, "wizard -> king\ncat -> dog")
    applied = graph.add("EditAssumptionApplyEdit", model=graph.model, edit=first[1], strength=0.5, clip=loaded)
    shown = [show(graph, clip=clip) for clip in (graph.clip, applied[1], loaded)]
    outputs = comfy.run(graph)
    assert text(outputs, shown[0]).splitlines() == [
        "The CLIP carries 3 concept edits, applied in this order:",
        "1. rose → tulip",
        "2. solved together:",
        "    wizard → king",
        "    cat → dog",
    ]
    assert "1. rose → tulip, at 50 % of its strength" in text(outputs, shown[1])
    assert text(outputs, shown[2]) == "The CLIP carries no edit."
    line = "the CLIP now carries 3 concept edits: rose → tulip; then wizard → king, cat → dog (solved together)"
    assert line in text(outputs, second) and "now carries" not in text(outputs, first)


def test_connected_to_nothing_it_says_what_to_do(comfy):
    graph = Pipeline()
    shown = show(graph)
    assert text(comfy.run(graph), shown).startswith("Nothing is connected; connect a MODEL, a CLIP or both")
