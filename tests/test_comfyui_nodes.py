"""List, slider, preserve lists, conditioning and hooks in a real ComfyUI, each against what it ought to equal."""

import pytest
import torch
from comfy_graphs import DESTINATION, SOURCE, Pipeline, distance, latent, text
from comfy_server import RunError

LINES = f"{SOURCE} -> {DESTINATION}\na vase of tulips -> a vase of black tulips @ 0.5  # half\n= a pack of daisies"


def plain(comfy, prompt="a field of roses"):
    return latent(comfy, Pipeline().sample(prompt))


def edited(comfy, prompt="a field of roses", **inputs):
    graph = Pipeline()
    graph.edit(**inputs)
    return latent(comfy, graph.sample(prompt))


def test_a_list_is_its_edits_solved_together(comfy):
    listed = Pipeline()
    node = listed.edit_by("EditAssumptionList", recipe=LINES)
    chained = Pipeline()
    chained.edit(preserve="a pack of daisies")
    chained.edit(source="a vase of tulips", destination="a vase of black tulips", strength=0.5)
    assert torch.equal(latent(comfy, listed.sample()), latent(comfy, chained.sample()))
    assert "solved together" in text(listed.outputs, node)


def test_settings_in_the_text_go_before_the_inputs(comfy):
    graph = Pipeline()
    graph.edit_by("EditAssumptionList", recipe=f"! regularization: 3\n{SOURCE} -> {DESTINATION}")
    assert torch.equal(latent(comfy, graph.sample()), edited(comfy, regularization=3.0))


def test_a_bad_line_is_named_before_anything_runs(comfy):
    graph = Pipeline()
    graph.edit_by("EditAssumptionList", recipe=f"{SOURCE} -> {DESTINATION}\nroses and tulips")
    with pytest.raises(RunError, match="Line 2: there is no “->”"):
        comfy.queue(graph.sample())


@pytest.mark.parametrize(
    ("strength", "same"),
    [
        (1.5, {"source": "roses", "destination": "blue roses", "strength": 1.5}),
        (-0.5, {"source": "roses", "destination": "red roses", "strength": 0.5}),
    ],
)
def test_a_slider_is_an_edit_in_its_direction(comfy, strength, same):
    graph = Pipeline()
    graph.edit_by("EditAssumptionConceptSlider", concept="roses", more="blue roses", less="red roses", strength=strength)
    assert torch.equal(latent(comfy, graph.sample()), edited(comfy, **same))


def test_a_slider_at_zero_is_no_edit_and_without_a_concept_it_is_refused(comfy):
    off, empty = Pipeline(), Pipeline()
    off.edit_by("EditAssumptionConceptSlider", concept="roses", more="blue roses", less="", strength=0.0)
    assert torch.equal(latent(comfy, off.sample()), plain(comfy))
    empty.edit_by("EditAssumptionConceptSlider", concept=" ", more="blue roses", less="", strength=1.0)
    with pytest.raises(RunError, match="The concept is empty"):
        comfy.queue(empty.sample())


def preserve_node(graph, **inputs):
    return graph.add(
        "EditAssumptionPreservePrompts", **{"list": "none", "prompts": "", "except_for": "", "strict": False, **inputs}
    )


def test_a_list_of_prompts_to_preserve(comfy):
    graph = Pipeline()
    node = preserve_node(graph, list="flowers", except_for="rose", prompts="a pack of daisies")
    graph.edit(preserve=node[0])
    found = latent(comfy, graph.sample())
    lines = text(graph.outputs, node).splitlines()
    assert "a rose" not in lines and {"a tulip", "a pack of daisies"} <= set(lines)
    assert torch.equal(found, edited(comfy, preserve="\n".join(lines)))


def test_strictly_preserved_prompts_do_not_change(comfy):
    graph, tulips = Pipeline(), "a pack of tulips"
    more = preserve_node(graph, prompts="a dog", strict=True)
    graph.edit(preserve=preserve_node(graph, prompts=tulips, strict=True, more=more[0])[0])
    unchanged = plain(comfy, tulips)
    assert distance(edited(comfy, tulips), unchanged) > 1e-3
    # "blurry", the negative prompt, is free to change, so the pictures are compared where it is preserved as well.
    blurry = preserve_node(graph, prompts=f"{tulips}\nblurry", strict=True)
    graph.nodes[graph.named["edit"][0][0]]["inputs"]["preserve"] = blurry[0]
    assert distance(latent(comfy, graph.sample(tulips)), unchanged) < 1e-4


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_an_edited_conditioning_gives_the_picture_of_the_edited_model(comfy, family):
    model, conditioning = Pipeline(family), Pipeline(family)
    model.edit()
    node = conditioning.edit()
    conditioning.model = conditioning.loaded

    def through(link):
        return conditioning.add("EditAssumptionConditioning", conditioning=link, edit=node[1], strength=1.0)[0]

    expected = latent(comfy, model.sample())
    assert distance(expected, latent(comfy, Pipeline(family).sample())) > 1e-3
    assert distance(latent(comfy, conditioning.sample(through=through)), expected) < 1e-4


def hooked(through_hooks, strength=1.0):
    graph = Pipeline()
    node = graph.edit()
    graph.model = graph.loaded
    hooks = graph.add("EditAssumptionHook", model=graph.loaded, edit=node[1], strength=strength)[0]
    return graph.sample(through=lambda link: through_hooks(graph, link, hooks))


def with_hooks(graph, link, hooks):
    return graph.add("ConditioningSetProperties", cond_NEW=link, strength=1.0, set_cond_area="default", hooks=hooks)[0]


def from_half_way(graph, link, hooks):
    frame = graph.add("CreateHookKeyframe", strength_mult=0.0, start_percent=0.0)
    frame = graph.add("CreateHookKeyframe", strength_mult=1.0, start_percent=0.5, prev_hook_kf=frame[0])
    return with_hooks(graph, link, graph.add("SetHookKeyframes", hooks=hooks, hook_kf=frame[0])[0])


def test_a_hook_is_the_edit_and_can_be_scheduled(comfy):
    whole = latent(comfy, hooked(with_hooks))
    assert distance(whole, edited(comfy)) < 1e-4
    before = plain(comfy)
    scheduled = latent(comfy, hooked(from_half_way))
    assert distance(scheduled, before) > 1e-4 and distance(scheduled, whole) > 1e-4
    assert torch.equal(latent(comfy, hooked(with_hooks, strength=0.0)), before)
    assert torch.equal(plain(comfy), before)
