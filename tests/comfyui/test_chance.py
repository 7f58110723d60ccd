"""Edits by chance in a real ComfyUI: every picture is that of the variant that it has drawn, whatever it is drawn with."""

import pytest
import torch
from comfy_graphs import SOURCE, Pipeline, PocketGraph, latent, node_id, text
from comfy_server import RunError
from edit_assumption.editing.assumptions.chance_draw import Picture, draw
from edit_assumption.editing.assumptions.recipe import parse_recipe
from formulas import distance

BLUE, RED = "a pack of blue roses", "a pack of red tulips"
BOTH = f"{BLUE} | {RED}"
SEED, BATCH = 7, 4
NEAR = 2e-3  # of two ways to the same picture, of random weights


def drawn(seed=SEED, batch=BATCH, line=f"{SOURCE} -> {BOTH}", **settings):
    (chance,) = parse_recipe(line).chances
    pictures = [Picture(seed, index) for index in range(batch)]
    return [chance.variants[own].destination for (own,) in draw([chance], pictures, **settings)]


def latents(comfy, finish, family="sd1", destination=BOTH, **inputs):
    """``finish`` goes on from the graph with an edit to a latent."""
    graph = Pipeline(family)
    graph.edit(destination=destination, **inputs)
    finish(graph)
    return latent(comfy, graph)


def check_rows(comfy, finish, family="sd1", wanted=None, near=NEAR):
    """Each row of a batch is that of the same graph with its variant alone, and not that of the other one."""
    mixed = latents(comfy, finish, family)
    alone = {variant: latents(comfy, finish, family, destination=variant) for variant in (BLUE, RED)}
    wanted = wanted or drawn(batch=len(mixed))
    assert len(mixed) == len(wanted)
    for row, variant in enumerate(wanted):
        other = RED if variant == BLUE else BLUE
        gap = distance(alone[other][row], alone[variant][row])
        assert distance(mixed[row], alone[variant][row]) < min(near, 0.1 * gap), row
    return mixed


def test_the_batch_of_these_tests_has_both_variants():
    assert set(drawn()) == {BLUE, RED}


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_each_picture_is_that_of_its_variant(comfy, family):
    check_rows(comfy, lambda graph: graph.sample(batch=BATCH), family)


def test_without_guidance_there_is_no_negative_half(comfy):
    check_rows(comfy, lambda graph: graph.sample(batch=BATCH, cfg=1.0))


def regions(graph):
    """Two prompts beside each other, one of them for a part of the picture and a part of the steps."""

    def through(conditioning):
        whole = graph.add("CLIPTextEncode", clip=graph.clip, text=f"a field and {SOURCE}")[0]
        part = graph.add("ConditioningSetArea", conditioning=whole, width=64, height=64, x=64, y=0, strength=1.0)[0]
        part = graph.add("ConditioningSetTimestepRange", conditioning=part, start=0.0, end=0.5)[0]
        return graph.add("ConditioningCombine", conditioning_1=conditioning, conditioning_2=part)[0]

    graph.size = 128
    return graph.sample(batch=BATCH, through=through)


def test_several_conditionings_with_areas(comfy):
    check_rows(comfy, regions)


def alone_from_batch(place):
    def finish(graph):
        empty = graph.add("EmptyLatentImage", width=64, height=64, batch_size=BATCH)
        one = graph.add("LatentFromBatch", samples=empty[0], batch_index=place, length=1)
        graph.sample(latent_image=one[0])

    return finish


def test_a_picture_from_a_batch_alone_is_the_same(comfy):
    batch = latents(comfy, lambda graph: graph.sample(batch=BATCH))
    for place in range(BATCH):
        assert distance(latents(comfy, alone_from_batch(place))[0], batch[place]) < NEAR


def in_two_passes(graph, **second):
    """Drawn, scaled up, drawn further with another seed."""
    graph.sample(batch=BATCH)
    larger = graph.add(
        "LatentUpscale", samples=graph.sampled[0], upscale_method="bilinear", width=96, height=96, crop="disabled"
    )
    graph.sample(batch=BATCH, latent_image=larger[0], seed=99, denoise=0.5, **second)


def test_a_second_pass_goes_on_with_the_same_variant(comfy):
    assert drawn(99) != drawn()
    check_rows(comfy, in_two_passes, near=1e-2)


def in_two_parts(graph):
    """Half of the steps, and the other half without noise of its own."""
    empty = graph.add("EmptyLatentImage", width=64, height=64, batch_size=BATCH)
    prompts = {
        name: graph.add("CLIPTextEncode", clip=graph.clip, text=text)[0]
        for name, text in {"positive": f"a field and {SOURCE}", "negative": ""}.items()
    }
    steps = dict(steps=4, cfg=7.0, sampler_name="euler", scheduler="normal")
    half = graph.add(
        "KSamplerAdvanced", model=graph.model, latent_image=empty[0], **prompts, **steps, add_noise="enable", noise_seed=SEED,
        start_at_step=0, end_at_step=2, return_with_leftover_noise="enable",
    )  # fmt: skip
    whole = graph.add(
        "KSamplerAdvanced", model=graph.model, latent_image=half[0], **prompts, **steps, add_noise="disable", noise_seed=0,
        start_at_step=2, end_at_step=4, return_with_leftover_noise="disable",
    )  # fmt: skip
    graph.named["latent"] = graph.add("SaveLatent", samples=whole[0], filename_prefix="latents/test")


def test_a_second_part_without_noise_goes_on_with_the_same_variant(comfy):
    assert drawn(0) != drawn()
    check_rows(comfy, in_two_parts)


@pytest.mark.parametrize("line", ["! negative: no", ""], ids=["positive alone", "both"])
def test_the_negative_prompt_follows_or_not(comfy, line):
    recipe = f"{line}\n{SOURCE} -> {BOTH}"
    graph = Pipeline()
    graph.negative = f"{SOURCE} in the rain"
    graph.edit_by("EditAssumptionList", recipe=recipe)
    mixed = latent(comfy, graph.sample())
    (variant,) = drawn(batch=1)

    def written_out(everything):
        reference = Pipeline()
        reference.negative = graph.negative
        edit = reference.add(
            "EditAssumption", clip=reference.clip, source=SOURCE, destination=variant, strength=1.0, **graph_settings()
        )
        count = iter(range(2))

        def through(conditioning):
            if next(count) and not everything:
                return conditioning
            return reference.add("EditAssumptionConditioning", conditioning=conditioning, edit=edit[1], strength=1.0)[0]

        return latent(comfy, reference.sample(through=through))

    both, positive = written_out(True), written_out(False)
    wanted, other = (positive, both) if line else (both, positive)
    assert distance(mixed, wanted) < NEAR < distance(mixed, other)


def graph_settings():
    from comfy_graphs import DEFAULTS

    return DEFAULTS


def test_chained_with_other_edits_in_any_order(comfy):
    def chain(order):
        graph = Pipeline()
        for source, destination in order:
            graph.edit(source=source, destination=destination)
        return graph.sample(batch=BATCH)

    edits = [(SOURCE, BOTH), ("a vase of tulips", "a vase of black tulips")]
    one, other = chain(edits), chain(edits[::-1])
    assert torch.equal(latent(comfy, one), latent(comfy, other))
    plain = [(SOURCE, drawn()[0]), edits[1]]
    assert distance(latent(comfy, one)[0], latent(comfy, chain(plain))[0]) < NEAR


def test_beside_an_edit_that_is_solved_by_itself_it_is_the_later_one(comfy):
    def pictures(*destinations):
        graph = Pipeline()
        for destination in destinations:
            other = {"source": "a vase of tulips", "destination": "a vase of black tulips", "projections": "values"}
            graph.edit(**({"destination": destination} if destination else other))
        return latent(comfy, graph.sample(batch=BATCH))

    mixed = pictures(BOTH, None)
    assert torch.equal(pictures(None, BOTH), mixed)
    for row, variant in enumerate(drawn()):
        assert distance(mixed[row], pictures(None, variant)[row]) < NEAR


def test_a_batch_with_shares_as_near_as_can_be(comfy):
    graph = Pipeline()
    graph.edit_by("EditAssumptionList", recipe=f"! spread: yes\n{SOURCE} -> {BOTH}")
    spread = latent(comfy, graph.sample(batch=BATCH))
    wanted = drawn(spread=True)
    assert wanted.count(BLUE) == wanted.count(RED) == BATCH // 2
    alone = {variant: latents(comfy, lambda own: own.sample(batch=BATCH), destination=variant) for variant in (BLUE, RED)}
    assert all(distance(spread[row], alone[variant][row]) < NEAR for row, variant in enumerate(wanted))


def test_as_is_is_the_model_as_it_was(comfy):
    line = "1% a pack of blue roses | as is"
    assert drawn(line=f"{SOURCE} -> {line}", batch=1) == ["as is"]
    mixed = latents(comfy, lambda graph: graph.sample(f"a photo of {SOURCE}"), destination=line)
    plain = latent(comfy, Pipeline().sample(f"a photo of {SOURCE}"))
    blue = latents(comfy, lambda graph: graph.sample(f"a photo of {SOURCE}"), destination=BLUE)
    assert distance(mixed, plain) < 0.2 * distance(blue, plain)


def test_the_report_says_what_is_drawn(comfy):
    graph = Pipeline()
    node = graph.edit(destination=BOTH)
    said = text(comfy.run(graph.sample()), node)
    assert f"{SOURCE} → by chance 50% {BLUE} | 50% {RED}" in said and "every picture draws its variant" in said


def refused(comfy, finish):
    graph = Pipeline()
    edit = graph.edit(destination=BOTH)
    finish(graph, edit)
    with pytest.raises(RunError) as caught:
        comfy.run(graph)
    return str(caught.value)


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        (
            lambda graph, edit: graph.add(
                "EditAssumptionSaveLora", model=graph.loaded, edit=edit[1], filename_prefix="loras/x", tolerance=0.0,
                precision="float32",
            ),
            "no weight, LoRA, hook or conditioning can hold it",
        ),
        (
            lambda graph, edit: graph.add(
                "PreviewAny", source=graph.add("EditAssumptionHook", model=graph.loaded, edit=edit[1], strength=1.0)[0]
            ),
            "no weight, LoRA, hook or conditioning can hold it",
        ),
        (
            lambda graph, edit: graph.add("CheckpointSave", model=edit[0], clip=graph.clip, vae=graph.vae, filename_prefix="x"),
            "which no checkpoint can hold; save its EDIT with Save Edit",
        ),
        (
            lambda graph, edit: graph.add(
                "CheckpointSave",
                model=graph.add("ModelSamplingDiscrete", model=edit[0], sampling="eps", zsnr=False)[0],
                clip=graph.clip, vae=graph.vae, filename_prefix="x",
            ),
            "which no checkpoint can hold; save its EDIT with Save Edit",
        ),
    ],
    ids=["LoRA", "hook", "checkpoint", "checkpoint of a clone"],
)  # fmt: skip
def test_what_cannot_hold_it_is_refused(comfy, finish, reason):
    assert reason in refused(comfy, finish)


def test_saved_loaded_and_applied(comfy):
    graph = Pipeline()
    edit = graph.edit(destination=BOTH)
    graph.add("EditAssumptionSaveEdit", edit=edit[1], filename_prefix="assumption_edits/chance")
    wanted = latent(comfy, graph.sample(batch=BATCH))
    for clip in (True, False):
        again = Pipeline()
        loaded = again.add("EditAssumptionLoadEdit", edit_name="chance_00001_.safetensors", clip=again.clip)
        more = {"clip": again.clip} if clip else {}
        again.model = again.add("EditAssumptionApplyEdit", model=again.model, edit=loaded[0], strength=1.0, **more)[0]
        assert distance(latent(comfy, again.sample(batch=BATCH)), wanted) < NEAR


def test_the_pocket_models_doctors(comfy, judge):
    """Pictures of the bundled model show the hat, or none, that each has drawn."""
    graph = PocketGraph()
    graph.edit(source="a doctor", destination="a doctor with a hat | a doctor without a hat", regularizer="captions")
    outputs = comfy.run(graph.sample("a doctor", batch=8))
    wanted = drawn(batch=8, line="a doctor -> a doctor with a hat | a doctor without a hat")
    import numpy as np
    from PIL import Image

    pictures = []
    for entry in outputs[node_id(graph.named["picture"])]["images"]:
        with Image.open(comfy.output(entry)) as image:
            pictures.append(torch.from_numpy(np.asarray(image.convert("RGB"), dtype=np.float32)).permute(2, 0, 1) / 127.5 - 1)
    shown = [answer["hat"] for answer in judge.answers(torch.stack(pictures))]
    assert sum(hat == ("bare" if "without" in variant else "hat") for hat, variant in zip(shown, wanted, strict=True)) >= 7
