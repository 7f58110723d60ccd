"""List, slider, preserve lists, conditioning and hooks in a real ComfyUI, each against what it ought to equal."""

import re
import time
from pathlib import Path

import pytest
import torch
from comfy_graphs import DESTINATION, SOURCE, Pipeline, PocketGraph, latent, loaded_weights, node_id, text
from comfy_server import RunError
from formulas import distance
from PIL import Image

EXACT = dict(tolerance=0.0, precision="float32")
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


def test_a_bad_line_is_named_whatever_else_runs(comfy):
    graph = Pipeline()
    graph.edit_by("EditAssumptionList", recipe=f"{SOURCE} -> {DESTINATION}\nroses and tulips")
    with pytest.raises(RunError, match="Line 2: there is no “->”"):
        comfy.run(graph.sample())


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
        comfy.run(empty.sample())


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


def test_a_list_keeps_marks_and_escapes(comfy):
    graph = Pipeline()
    node = preserve_node(graph, prompts="# ours\na \\-> b\n== a dog # strictly")
    graph.edit(preserve=node[0])
    comfy.run(graph.sample())
    assert text(graph.outputs, node).splitlines() == ["a \\-> b", "== a dog"]


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


def test_the_pooled_embedding_is_edited_where_asked(comfy):
    def drawn(pooled, onto_prompt=False):
        graph = Pipeline("sdxl")
        node = graph.edit(pooled=pooled)
        if not onto_prompt:
            return graph, node, latent(comfy, graph.sample())
        graph.model = graph.loaded
        into = dict(edit=node[1], strength=1.0)
        through = lambda link: graph.add("EditAssumptionConditioning", conditioning=link, **into)[0]  # noqa: E731
        return graph, node, latent(comfy, graph.sample(through=through))

    graph, node, expected = drawn(True)
    assert "pooled input" in text(graph.outputs, node)
    assert distance(expected, drawn(False)[2]) > 1e-4
    assert distance(drawn(True, onto_prompt=True)[2], expected) < 1e-4
    save = graph.add("EditAssumptionSaveLora", model=graph.loaded, edit=node[1], filename_prefix="loras/pooled", **EXACT)
    name = text(comfy.run(graph), save).split(" ")[1].removeprefix("loras/")
    loaded = Pipeline("sdxl")
    loaded.lora(name)
    assert distance(latent(comfy, loaded.sample()), expected) < 1e-3
    file = graph.add("EditAssumptionSaveEdit", edit=node[1], filename_prefix="assumption_edits/pooled")
    name = Path(text(comfy.run(graph), file).split(" ")[1]).name
    again = Pipeline("sdxl")
    read = again.add("EditAssumptionLoadEdit", edit_name=name, clip=again.clip)
    again.model = again.add("EditAssumptionApplyEdit", model=again.loaded, edit=read[0], strength=1.0)[0]
    assert torch.equal(latent(comfy, again.sample()), expected)


def test_a_model_without_a_pooled_embedding_says_so(comfy):
    graph = Pipeline()
    graph.edit(pooled=True)
    with pytest.raises(RunError, match="switch “pooled” off"):
        comfy.run(graph.sample())


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


def with_hooks(graph, link, hooks):
    return graph.add("ConditioningSetProperties", cond_NEW=link, strength=1.0, set_cond_area="default", hooks=hooks)[0]


def test_a_hook_is_the_edit(comfy):
    def hooked(strength):
        graph = Pipeline()
        node = graph.edit()
        graph.model = graph.loaded
        hooks = graph.add("EditAssumptionHook", model=graph.loaded, edit=node[1], strength=strength)[0]
        return latent(comfy, graph.sample(through=lambda link: with_hooks(graph, link, hooks)))

    before = plain(comfy)
    assert distance(hooked(1.0), edited(comfy)) < 1e-4
    assert torch.equal(hooked(0.0), before)
    assert torch.equal(plain(comfy), before)


def test_a_hook_can_be_scheduled(comfy):
    """Before its keyframe it is off; after the last one the picture is no longer what it would have been with it on."""

    def hooked(*frames):
        graph = PocketGraph()
        node = graph.edit(source="roses", destination="blue roses", regularizer="captions")
        graph.model = graph.loaded
        hooks = graph.add("EditAssumptionHook", model=graph.loaded, edit=node[1], strength=1.0)
        keyframes = []
        for strength, start in frames:
            keyframes = graph.add(
                "CreateHookKeyframe", strength_mult=strength, start_percent=start,
                **({"prev_hook_kf": keyframes[0]} if keyframes else {}),
            )  # fmt: skip
        hooks = graph.add("SetHookKeyframes", hooks=hooks[0], hook_kf=keyframes[0])
        return latent(comfy, graph.sample("roses", through=lambda link: with_hooks(graph, link, hooks[0])))

    never, always, late = hooked((0.0, 0.0)), hooked((1.0, 0.0)), hooked((0.0, 0.0), (1.0, 0.5))
    assert torch.equal(never, latent(comfy, PocketGraph().sample("roses")))
    assert distance(always, never) > 0.1
    assert distance(late, never) > 0.01 and distance(late, always) > 0.01


def test_patches_keep_all_they_are_in_what_hosts_hand_on(comfy):
    """Newer hosts stage a patch as ``type(patch)(loaded_keys, weights)``, and cast its weights in place."""
    graph = Pipeline("sdxl")
    graph.edit(pooled=True)
    node = graph.add("TestAdapters", model=graph.model)
    staged, cast = map(float, text(comfy.run(graph), node).split())
    assert staged == 0 and cast < 1e-3


def test_the_pocket_model_can_be_loaded_a_second_time(comfy):
    """As hosts with dynamic VRAM do for hooks."""
    if "TestLoadedAnew" not in comfy.get("/object_info"):
        pytest.skip("this ComfyUI never loads a model a second time")
    pictures = []
    for anew in (False, True):
        graph = PocketGraph()
        graph.edit(source="roses", destination="blue roses")
        if anew:
            graph.model, graph.clip = graph.add("TestLoadedAnew", model=graph.model, clip=graph.clip)[:2]
        pictures.append(latent(comfy, graph.sample("roses")))
    assert torch.equal(*pictures)


def test_erasing_is_forgetting_with_passes_and_preserved_prompts(comfy):
    erased, listed = Pipeline(), Pipeline()
    forget = dict(instead="", strength=1.0)
    erased.edit_by("EditAssumptionErase", concepts="roses\ntulips", passes=2, keep="none", preserve="a dog", **forget)
    listed.edit_by("EditAssumptionList", recipe="! passes: 2\nroses ->\ntulips ->\n= a dog")
    assert torch.equal(latent(comfy, erased.sample()), latent(comfy, listed.sample()))
    kept = Pipeline()
    kept.edit_by("EditAssumptionErase", concepts="roses", passes=0, keep="neutral prompts", **forget)
    assert distance(latent(comfy, kept.sample()), edited(comfy, source="roses", destination="")) > 1e-4
    empty = Pipeline()
    empty.edit_by("EditAssumptionErase", concepts="\n", passes=0, keep="none", **forget)
    with pytest.raises(RunError, match="There is nothing to erase"):
        comfy.run(empty.sample())


def test_a_preview_shows_and_says_what_an_edit_reaches(comfy):
    graph = PocketGraph()
    node = graph.edit(source="roses", destination="blue roses", regularizer="captions")
    shown = graph.add(
        "EditAssumptionPreviewEdit",
        edit=node[1],
        clip=graph.clip,
        related="roses at night",
        unrelated="a cat\nroses in the snow",
    )
    outputs = comfy.run(graph)
    told = text(outputs, shown)
    assert "roses → blue roses" in told and "related: roses at night" in told
    warning = told.splitlines()[-1]
    assert "“roses in the snow” will change" in warning and "a cat" not in warning
    with Image.open(picture_of(comfy, outputs, shown)) as image:
        assert image.width > 600 and len(image.convert("RGB").getcolors(2**24)) > 50


def picture_of(comfy, outputs, node):
    entry = outputs[node_id(node)]["images"][0]
    return comfy.base / ("temp" if entry["type"] == "temp" else "output") / entry["subfolder"] / entry["filename"]


def test_a_comparison_grid_has_both_pictures(comfy):
    graph = PocketGraph().sample("roses in a field", batch=2)
    batch = graph.add("VAEDecode", samples=graph.sampled[0], vae=graph.vae)[0]
    node = graph.add(
        "EditAssumptionComparisonGrid", before=batch, after=batch, prompts="roses\na field", title="nothing changed"
    )
    with Image.open(picture_of(comfy, comfy.run(graph), node)) as image:
        assert image.width > 300
    graph.nodes[node_id(node)]["inputs"]["prompts"] = "a\nb\nc"
    with pytest.raises(RunError, match="2 pictures cannot be divided among 3 prompts"):
        comfy.run(graph)


def debias(graph, variants="a wizard with a hat: 50\na wizard without a hat: 50", side=48, **inputs):
    sampling = dict(steps=8, cfg=3.0, sampler_name="euler", scheduler="normal", sentence="{}", negative="")
    latent = graph.add("EmptyLatentImage", width=side, height=side, batch_size=1)
    judge = graph.add("EditAssumptionPocketJudge")
    wanted = dict(subject="a wizard", variants=variants, pictures=24, rounds=4, tolerance=0.0, seed=1)
    sampling["way"] = "in the weights"
    inputs = {**sampling, **wanted, "vae": graph.vae, "latent": latent[0], "judge": judge[0], **inputs}
    inputs = {name: value for name, value in inputs.items() if value is not None}
    node = graph.edit_by("EditAssumptionDebias", regularizer="captions", **inputs)
    graph.add("PreviewImage", images=node[2])
    return node


def shares(told, line):
    """(found, wanted) of a variant, in percent, as the node says them."""
    return [
        float(number) for number in re.findall(r"([\d.]+) %", next(row for row in told.splitlines() if row.startswith(line)))
    ]


def test_debiasing_brings_the_shares_nearer(comfy):
    graph = PocketGraph()
    node = debias(graph, pictures=48, rounds=6)  # a wizard without a hat is rare: the weights have far to go
    told = text(comfy.run(graph), node)
    assert re.search(r"after [2-6] rounds", told)  # it stops before the last where the shares are right to the picture
    found, wanted = shares(told, "a wizard with a hat")
    assert wanted == 50 and abs(found - 50) <= 25  # without the edit it is 90 to 100


def test_debiasing_goes_on_from_its_result(comfy):
    whole, first = PocketGraph(), PocketGraph()
    all_rounds = debias(whole, pictures=15, rounds=3)  # fifteen pictures are never shared in halves, so no round is left out
    expected = text(comfy.run(whole), all_rounds)
    plain = first.model
    half = debias(first, pictures=15, rounds=2)
    first.model = plain
    node = debias(first, pictures=15, rounds=3, resume=half[3])
    told = text(comfy.run(first), node)
    assert "after 3 rounds" in told
    assert told.splitlines()[:3] == expected.splitlines()[:3]


def test_debiasing_without_a_judge_is_the_midpoint_and_says_so(comfy):
    graph, listed = PocketGraph(), PocketGraph()
    node = debias(graph, judge=None, variants="a wizard with a hat\na wizard without a hat")
    found = latent(comfy, graph.sample("a wizard"))
    assert "Not measured" in text(graph.outputs, node)
    listed.edit_by(
        "EditAssumptionList",
        recipe="a wizard -> a wizard with a hat * 0.5\na wizard -> a wizard without a hat * 0.5",
        regularizer="captions",
    )
    assert torch.equal(found, latent(comfy, listed.sample("a wizard")))


def test_debiasing_by_chance_draws_each_picture_and_judges_none(comfy):
    graph, listed = PocketGraph(), PocketGraph()
    variants = "a wizard with a hat: 30\na wizard without a hat: 70"
    node = debias(graph, way=None, variants=variants, vae=None, latent=None)
    found = latent(comfy, graph.sample("a wizard", batch=6))
    told = text(graph.outputs, node)
    assert "a wizard → by chance 30% a wizard with a hat | 70% a wizard without a hat" in told
    assert "not used: judge; these are for the way “in the weights”" in told
    listed.edit_by(
        "EditAssumptionList",
        recipe="a wizard -> 30% a wizard with a hat | a wizard without a hat",
        regularizer="captions",
    )
    assert torch.equal(found, latent(comfy, listed.sample("a wizard", batch=6)))


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"variants": "a wizard with a hat"}, "at least two variants"),
        ({"variants": "a wizard with a hat: x\na wizard: 1"}, "does not end in a share"),
        ({"vae": None}, "connect a VAE and an empty latent"),
        ({"variants": "something\nnothing"}, "names nothing that the pocket model draws"),
        ({"side": 64}, "knows pictures of 48 x 48 pixels, but these have 64 x 64"),
    ],
)
def test_bad_debiasing_is_one_sentence(comfy, inputs, sentence):
    graph = PocketGraph()
    debias(graph, **inputs)
    with pytest.raises(RunError, match=sentence):
        comfy.run(graph.sample("a wizard"))


def test_a_cancelled_debiasing_goes_on_where_it_was(comfy):
    def rounds_in_all(seconds):
        """After so much time for a first run, and one round in a second."""
        graph = PocketGraph()
        node = debias(graph, pictures=15, rounds=50, seed=seconds)  # fifteen pictures are never shared in halves
        waiting = comfy.queue(graph)
        while not comfy.get("/queue")["queue_running"]:
            time.sleep(0.05)
        time.sleep(seconds)
        comfy.post("/interrupt")
        with pytest.raises(RunError, match="interrupted"):
            comfy.result(waiting)
        graph.nodes[node_id(node)]["inputs"]["rounds"] = 1
        return int(re.search(r"after (\d+) rounds", text(comfy.run(graph), node))[1])

    assert any(rounds_in_all(seconds) > 1 for seconds in (9, 20, 60))  # a busy machine may finish no round in the first


def memory(comfy):
    """Of the server, in bytes."""
    (line,) = [row for row in Path(f"/proc/{comfy.process.pid}/status").read_text().splitlines() if row.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


def test_fifty_edits_leave_weights_and_memory_as_they_were(comfy):
    def run(number):
        graph = PocketGraph()
        source, destination = [("roses", "blue roses"), ("a cat", "a white cat"), ("a car", "")][number % 3]
        graph.edit(source=source, destination=destination, strength=(number % 7 - 3.5) / 2, regularizer="captions")
        return comfy.queue(graph.sample("roses and a cat", seed=number))

    plain, before = loaded_weights(comfy, PocketGraph().sample("a rose"), "fifty.safetensors")
    comfy.result([run(number) for number in range(6)][-1])  # what is kept on purpose is there now
    held = memory(comfy)
    comfy.result([run(number) for number in range(6, 56)][-1])
    again, after = loaded_weights(comfy, PocketGraph().sample("a rose"), "fifty again.safetensors")
    assert after == before and all(torch.equal(again[key], plain[key]) for key in plain)
    assert memory(comfy) - held < 150 * 2**20
