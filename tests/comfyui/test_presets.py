"""Recipe Preset in a real ComfyUI: what its recipes do to pictures, as far as the pocket model knows their words."""

import pytest
from comfy_edits import picture
from comfy_graphs import Pipeline, PocketGraph, text
from comfy_server import RunError
from edit_assumption.editing.assumptions.recipe_presets import preset_recipe, recipe_presets

SEEDS = range(4)


def preset_edit(graph, preset, more_lines="", **inputs):
    """Recipe Preset and Edit Assumptions (List) behind the graph's model; both nodes."""
    chosen = graph.add("EditAssumptionPreset", preset=preset, more_lines=more_lines)
    return chosen, graph.edit_by("EditAssumptionList", recipe=chosen[0], **inputs)


@pytest.mark.parametrize(
    ("preset", "prompt", "question", "wanted"),
    [
        ("another colour: blue roses", "a rose", "colour", "blue"),
        ("another time: houses at night", "a house", "time", "night"),
        ("another place: cars in the snow", "a car", "place", "snow"),
        ("another thing: dogs for cats", "a cat", "thing", "dog"),
    ],
)
def test_pictures_show_what_a_preset_asks(comfy, judge, preset, prompt, question, wanted):
    def shown(edited, seed):
        graph = PocketGraph()
        if edited:
            preset_edit(graph, preset, regularizer="captions")
        (answer,) = judge.answers(picture(comfy, graph.sample(prompt, seed=seed))[None])
        return answer[question]

    assert sum(shown(False, seed) == wanted for seed in SEEDS) <= 1
    assert sum(shown(True, seed) == wanted for seed in SEEDS) >= 3


@pytest.mark.parametrize("preset", recipe_presets())
def test_every_preset_is_an_edit_that_is_done(comfy, preset):
    graph = Pipeline()
    chosen, edited = preset_edit(graph, preset, "a horse -> a zebra")
    outputs = comfy.run(graph.sample())
    assert text(outputs, chosen) == f"{preset_recipe(preset)}\na horse -> a zebra"
    assert "solved together" in text(outputs, edited) and "left undone" in text(outputs, edited)
    assert "not preserved" not in text(outputs, edited) and "several destinations" not in text(outputs, edited)


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [(dict(preset="none of them"), "none of them"), (dict(more_lines="a rose"), "there is no “->” between a source")],
)
def test_what_is_wrong_is_one_sentence(comfy, inputs, sentence):
    graph = Pipeline()
    preset_edit(graph, **{"preset": next(iter(recipe_presets())), **inputs})
    with pytest.raises(RunError, match=sentence) as error:
        comfy.run(graph.sample())
    assert "\n" not in error.value.sentences[0]
