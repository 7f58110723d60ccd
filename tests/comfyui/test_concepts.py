"""Edit Concepts in a real ComfyUI: the CLIP carries the edit and the loaded one does not; files, LoRA, modes, interrupts."""

import os
import re
import time
from pathlib import Path

import pytest
import torch
from comfy_edits import LINES, concepts, picture, pixels_of
from comfy_graphs import Pipeline, PocketGraph, latent, node_id, text
from comfy_server import RunError
from formulas import distance
from safetensors import safe_open
from safetensors.torch import load_file

MODEL, LOADED = ["1", 0], ["1", 1]
"""The links to what the loader of a graph gives."""
PROMPTS = "a photo of a rose\na vase of tulips on a table\na castle"


def few_captions(graph):
    """Statistics that take no time."""
    return graph.add(
        "EditAssumptionConceptStatistics", clip=graph.clip, captions="captions of the pack", count=100, layers="1, 2"
    )[0]


def encoded(comfy, graph, name, prompts=PROMPTS, clip=None):
    """What the graph's CLIP makes of the prompts, in the order of their lines."""
    graph.add("TestEncode", clip=clip or graph.clip, text=prompts, name=name)
    comfy.run(graph)
    found = load_file(comfy.base / "output" / name)
    return torch.stack([found[prompt] for prompt in prompts.splitlines()])


def pocket(**inputs):
    graph = PocketGraph()
    concepts(graph, **inputs)
    return graph


def asked(graph, lines, **inputs):
    """The node in its default mode, which asks the graph's model."""
    return concepts(graph, lines, mode="attention", model=graph.model, **inputs)


def test_pictures_show_what_was_asked_and_the_rest_as_before(comfy, judge):
    wanted = dict(line.split(" -> ") for line in LINES.splitlines()) | {"house": "house"}
    images = torch.stack([picture(comfy, pocket(mode="attention", model=MODEL).sample(f"a {name}")) for name in wanted])
    shown = [answer["thing"] for answer in judge.answers(images)]
    assert sum(a == b for a, b in zip(shown, wanted.values(), strict=True)) >= len(LINES.splitlines()) and shown[-1] == "house"


def test_the_loaded_clip_is_not_changed(comfy):
    before = latent(comfy, PocketGraph().sample("a rose"))
    assert distance(latent(comfy, pocket().sample("a rose")), before) > 0.1
    assert torch.equal(latent(comfy, PocketGraph().sample("a rose", steps=10)), before)


def test_the_report_and_the_preview(comfy):
    graph = PocketGraph()
    node = concepts(graph)
    shown = graph.add("EditAssumptionPreviewEdit", edit=node[1], clip=LOADED, related="", unrelated="a house")
    outputs = comfy.run(graph.sample("a rose"))
    report = text(outputs, node)
    assert "rose → tulip" in report and "and 3 more" in report and "clip_l layers 0" in report
    assert "source: a rose: words move by" in text(outputs, shown)


def test_saved_loaded_and_applied_it_is_the_same_and_as_a_lora_too(comfy):
    graph = Pipeline()
    node = concepts(graph, "rose -> tulip\ncastle ->", layers="1, 2", statistics=few_captions(graph))
    saved = graph.add("EditAssumptionSaveEdit", edit=node[1], filename_prefix="assumption_edits/concepts")
    lora = graph.add(
        "EditAssumptionSaveLora", edit=node[1], filename_prefix="loras/concepts", tolerance=0.0, precision="float32"
    )
    direct = encoded(comfy, graph, "direct.safetensors")
    assert "Saved" in text(graph.outputs, saved) and "2 layers" in text(graph.outputs, lora)
    plain = encoded(comfy, Pipeline(), "plain.safetensors")
    assert distance(direct[0], plain[0]) > 0.02 and distance(direct[0], plain[0]) > distance(direct[1], plain[1])

    graph = Pipeline()
    loaded = graph.add("EditAssumptionLoadEdit", edit_name="concepts_00001_.safetensors", clip=graph.clip)
    applied = graph.add("EditAssumptionApplyEdit", model=graph.model, edit=loaded[0], strength=1.0, clip=graph.clip)
    assert distance(encoded(comfy, graph, "applied.safetensors", clip=applied[1]), direct) < 1e-5
    half = graph.add("EditAssumptionApplyEdit", model=graph.model, edit=loaded[0], strength=0.5, clip=graph.clip)
    halved = encoded(comfy, graph, "half.safetensors", clip=half[1])
    assert 0.2 < distance(halved[0], plain[0]) / distance(direct[0], plain[0]) < 0.8

    (comfy.base / "models/loras").mkdir(parents=True, exist_ok=True)
    (comfy.base / "output/loras/concepts_00001_.safetensors").rename(comfy.base / "models/loras/concepts.safetensors")
    graph = Pipeline()
    graph.lora("concepts.safetensors", strength_clip=1.0)
    assert distance(encoded(comfy, graph, "lora.safetensors"), direct) < 1e-5


def test_two_in_a_row_the_second_sees_the_first(comfy, judge):
    """The second edit is made for the text encoder that has the first."""
    graph = PocketGraph()
    asked(graph, "rose -> tulip")
    asked(graph, "tulip -> tree")
    first = judge.answers(torch.stack([picture(comfy, graph.sample("a tulip"))]))[0]["thing"]
    assert first == "tree"
    graph = pocket(lines="rose -> tulip")
    node = concepts(graph, "tulip -> tree")
    graph.add("EditAssumptionSaveEdit", edit=node[1], filename_prefix="assumption_edits/second")
    latent(comfy, graph.sample("a rose"))
    with safe_open(comfy.base / "output/assumption_edits/second_00001_.safetensors", "pt") as file:
        second = file.get_tensor("clip_l.encoder")
    alone = PocketGraph()
    node = concepts(alone, "tulip -> tree")
    alone.add("EditAssumptionSaveEdit", edit=node[1], filename_prefix="assumption_edits/alone")
    latent(comfy, alone.sample("a rose"))
    with safe_open(comfy.base / "output/assumption_edits/alone_00001_.safetensors", "pt") as file:
        assert distance(second, file.get_tensor("clip_l.encoder")) > 1e-4


@pytest.mark.parametrize(
    ("family", "names", "inputs"),
    [
        ("sd2", {"clip_h"}, {"mode": "attention"}),
        ("sdxl", {"clip_l", "clip_g"}, {"mode": "attention"}),
        ("sdxl", {"clip_l", "clip_g"}, {"mode": "full", "pictures": True}),
    ],
)
def test_other_families_with_all_their_encoders(comfy, family, names, inputs):
    graph, mode = Pipeline(family), inputs["mode"]
    if "pictures" in inputs:  # small ones, for they are what takes long
        inputs = {**inputs, "pictures": graph.add("EmptyLatentImage", width=64, height=64, batch_size=1)[0]}
    node = concepts(graph, "rose -> tulip", model=graph.model, layers="1, 2", statistics=few_captions(graph), **inputs)
    graph.add("EditAssumptionSaveEdit", edit=node[1], filename_prefix=f"assumption_edits/{family}-{mode}")
    after = encoded(comfy, graph, f"{family}-{mode}.safetensors")
    plain = encoded(comfy, Pipeline(family), f"{family}-plain.safetensors")
    assert distance(after[0], plain[0]) > 0.02
    with safe_open(comfy.base / f"output/assumption_edits/{family}-{mode}_00001_.safetensors", "pt") as file:
        assert {key.split(".")[0] for key in file.keys()} == names  # noqa: SIM118 - an open file, no dictionary
    if family == "sdxl":
        width = 768
        moved = [distance(part(after)[0], part(plain)[0]) for part in (lambda x: x[..., :width], lambda x: x[..., width:])]
        assert min(moved) > 0.02


@pytest.mark.parametrize("mode", ["attention", "full"])
def test_the_diffusion_model_is_listened_to(comfy, mode):
    whole = pocket(mode=mode, model=MODEL, lines="rose -> tulip", drawing_seed=3).sample("a rose")
    alone = pocket(lines="rose -> tulip").sample("a rose")
    assert distance(latent(comfy, whole), latent(comfy, alone)) > 0.01


def test_a_model_that_was_changed_is_listened_to_anew(comfy):
    """The value that was found for the model as it was is not taken for one with an edit on it."""
    graph = PocketGraph()
    asked(graph, "rose -> tulip")
    changed = PocketGraph()
    plain = changed.model
    changed.edit(source="a tulip", destination="a blue tulip")
    asked(changed, "rose -> tulip")
    changed.model = plain
    assert distance(latent(comfy, changed.sample("a rose")), latent(comfy, graph.sample("a rose"))) > 1e-4


@pytest.mark.parametrize("kind", ["eps", "v_prediction", "x0", "flow"])
def test_what_pictures_teach_is_what_the_model_predicts(comfy, kind):
    """By hand, from what the UNet was asked: the noise in it, a velocity or the clean latents, in units of the noise.

    1 + (what the edited text's prediction lacks - what the source's lacks) / how far the source's is from the meant one's.
    """
    graph, name = Pipeline(), f"taught-{kind}.safetensors"
    if kind == "flow":
        sampling = graph.add("ModelSamplingSD3", model=graph.model, shift=3.0)
    else:
        sampling = graph.add("ModelSamplingDiscrete", model=graph.model, sampling=kind, zsnr=False)
    graph.add("TestNoiseTeacher", model=sampling[0], clip=graph.clip, name=name)
    comfy.run(graph)
    told = load_file(comfy.base / "output" / name)
    high = (told["times"] / 1000 if kind == "flow" else told["sigmas"])[..., None, None, None]
    clean, size = told["clean"], (high.square() + 1).sqrt()
    noise = (told["asked"] - (1 - high) * clean if kind == "flow" else told["asked"] * size - clean) / high
    right, unit = {
        "eps": (noise, 1.0),
        "v_prediction": ((noise - high * clean) / size, 1 / size),
        "x0": (clean, 1 / high),
        "flow": (noise - clean, 1.0),
    }[kind]
    lacks = ((told["answers"] - right) * unit).square().sum((2, 3, 4))
    apart = ((told["answers"][0:-1:2] - told["answers"][1::2]) * torch.as_tensor(unit).expand_as(high)[1::2]).square()
    assert len(lacks) == 2 * 8 + 8 + 1 and torch.allclose(told["begun"], torch.ones(8, 2), atol=1e-3)
    scale = apart[:8].sum((2, 3, 4)).mean()  # meant and source in turn, at the first call for all turns
    assert torch.allclose(told["found"], 1 + (lacks[-1] - lacks[7]) / scale, rtol=1e-2, atol=1e-2)


def test_another_kind_of_prediction_is_listened_to_anew(comfy):
    """The value that was found for the model as it was is not taken for one that predicts something else."""
    values = comfy.base / "user/edit_assumption/values"
    for kind, new in (("eps", 1), ("v_prediction", 1), ("eps", 0)):
        graph = Pipeline()
        graph.model = graph.add("ModelSamplingDiscrete", model=graph.model, sampling=kind, zsnr=False)[0]
        before = set(values.glob("*.safetensors"))
        asked(graph, "rose -> castle", statistics=few_captions(graph), layers="1, 2", drawing_seed=21)
        comfy.run(graph.sample())
        assert len(set(values.glob("*.safetensors")) - before) == new


def test_pictures_of_the_users_own(comfy):
    graph = PocketGraph()
    drawn = PocketGraph().sample("a tulip", batch=2)
    comfy.run(drawn)
    empty = graph.add("EmptyLatentImage", width=48, height=48, batch_size=3)
    positive, negative = (graph.add("CLIPTextEncode", clip=LOADED, text=written) for written in ("a tulip", ""))
    own = graph.add(
        "KSampler", model=MODEL, positive=positive[0], negative=negative[0], latent_image=empty[0],
        **{"seed": 5, **graph.sampling},
    )  # fmt: skip
    concepts(graph, "rose -> tulip", mode="full", model=MODEL, pictures=own[0])
    theirs = latent(comfy, graph.sample("a rose"))
    assert distance(theirs, latent(comfy, pocket(mode="full", model=MODEL, lines="rose -> tulip").sample("a rose"))) > 1e-4


def test_lines_of_all_kinds_in_one_edit(comfy):
    """The pictures belong to the one line that asks for them; a debiased line and an erased one stand beside it."""
    graph = PocketGraph()
    empty = graph.add("EmptyLatentImage", width=48, height=48, batch_size=2)
    positive, negative = (graph.add("CLIPTextEncode", clip=LOADED, text=written) for written in ("a tulip", ""))
    own = graph.add(
        "KSampler", model=MODEL, positive=positive[0], negative=negative[0], latent_image=empty[0],
        **{"seed": 5, **graph.sampling},
    )  # fmt: skip
    lines = "rose -> [pictures]\nwizard -> wizard with a hat | wizard without a hat\nstar -> [everywhere]"
    node = concepts(graph, lines, mode="full", model=MODEL, pictures=own[0], templates="a {}", statistics=few_captions(graph),
                    layers="1, 2")  # fmt: skip
    comfy.run(graph.sample("a rose"))
    said = text(graph.outputs, node)
    assert "rose → (your pictures)" in said and "wizard with a hat 50%" in said and "star → (forgotten) everywhere" in said
    assert "Shares were not measured" in said and "nearer to your pictures" in said


WIZARDS = "a wizard with a hat", "a wizard without a hat"
HATS = "wizard -> wizard with a hat | wizard without a hat\nstar -> tree"


def balanced(graph, lines=HATS, side=48, **inputs):
    """The node with a judge, and all that this needs."""
    empty = graph.add("EmptyLatentImage", width=side, height=side, batch_size=1)
    rounds = dict(rounds=3, round_pictures=8, steps=8, cfg=3.0, sampler_name="euler", scheduler="normal", templates="a {}")
    linked = dict(judge=graph.add("EditAssumptionPocketJudge")[0], vae=graph.vae, latent=empty[0], model=MODEL)
    inputs = {**rounds, **linked, "mode": "attention", **inputs}
    return concepts(graph, lines, **{name: value for name, value in inputs.items() if value is not None})


def test_a_judge_brings_debiased_lines_to_their_shares(comfy, judge):
    """What the report tells of the last round is what the edited CLIP draws from its seed."""
    from edit_assumption.pocket.judge import shown_prompts

    graph = PocketGraph()
    node = balanced(graph, drawing_seed=5)
    graph.add("EditAssumptionSaveEdit", edit=node[1], filename_prefix="assumption_edits/balanced")
    said = text(comfy.run(graph.sample("a wizard")), node)
    found = re.search(r"balanced in (\d) rounds.*\nwizard \((\d) pictures\): wizard with a hat (\d+) %, wanted 50 %", said)
    rounds, seen, share = map(int, found.groups())
    assert "Shares were not measured" not in said and "values, solve and rounds in" in said
    with safe_open(comfy.base / "output/assumption_edits/balanced_00001_.safetensors", "pt") as file:
        lines = file.metadata()["recipe_text"]
    parts = [float(part) for part in re.findall(r": (-?[\d.]+)", lines.splitlines()[-2])]
    assert sum(parts) == pytest.approx(1, abs=1e-3) and parts[0] < 0.5  # a wizard has a hat nearly always
    again = PocketGraph()
    concepts(again, lines, templates="a {}", mode="attention", model=MODEL, drawing_seed=5)
    again.sample("a wizard", batch=8, seed=5 + rounds - 1, steps=8)
    comfy.run(again)
    entries = again.outputs[node_id(again.named["picture"])]["images"]
    shown = shown_prompts(judge, torch.stack([pixels_of(comfy, entry) for entry in entries]), WIZARDS)
    assert seen == 8 - shown.count(None) and share == pytest.approx(100 * shown.count(0) / seen, abs=0.6)


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"model": None, "mode": "text"}, "connect the MODEL, or disconnect the judge"),
        ({"vae": None}, "connect a VAE and an empty latent"),
        ({"latent": None}, "connect a VAE and an empty latent"),
        ({"lines": "star -> tree"}, "No line is debiased"),
        ({"side": 64}, "connect an empty latent of 48 x 48"),
        ({"lines": "wizard -> tree | star: 0"}, "A part of “wizard” is not above 0"),
    ],
)
def test_what_cannot_be_balanced_is_said(comfy, inputs, sentence):
    graph = PocketGraph()
    balanced(graph, **inputs)
    with pytest.raises(RunError, match=sentence):
        comfy.run(graph.sample("a wizard"))


def test_an_interrupt_keeps_what_is_finished(comfy):
    values = comfy.base / "user/edit_assumption/values"
    before = set(values.glob("*.safetensors"))
    lines = "\n".join(f"{source} -> house" for source in ("bee", "bus", "tent", "cup", "chair", "gift", "heart", "pear"))
    graph = pocket(mode="full", model=MODEL, lines=lines, drawing_seed=11)
    prompt_id = comfy.queue(graph.sample("a bee"))
    deadline = time.monotonic() + 300
    while len(set(values.glob("*.safetensors")) - before) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    comfy.post("/interrupt")
    with pytest.raises(RunError, match="interrupted"):
        comfy.result(prompt_id)
    kept = {path: path.stat().st_mtime_ns for path in set(values.glob("*.safetensors")) - before}
    assert 2 <= len(kept) < 8
    comfy.run(pocket(mode="full", model=MODEL, lines=lines, drawing_seed=11).sample("a bee"))
    after = set(values.glob("*.safetensors")) - before
    assert len(after) == 8 and all(path.stat().st_mtime_ns == stamp for path, stamp in kept.items())


def test_statistics_are_kept_and_go_on_after_an_interrupt(comfy):
    folder = comfy.base / "user/edit_assumption/statistics"
    comfy.base.joinpath("input/captions.txt").write_text("\n".join(f"a {n} of the house" for n in ("rose", "cat", "dog")))
    graph = Pipeline()
    node = graph.add(
        "EditAssumptionConceptStatistics", clip=graph.clip, captions="captions of the pack", count=150, layers="1, 2"
    )
    concepts(graph, "rose -> tulip", statistics=node[0], layers="1, 2")
    before = set(folder.glob("*")) if folder.exists() else set()
    comfy.run(graph.sample())
    assert "150 captions and 5000 words, layers 1, 2" in text(graph.outputs, node) and len(set(folder.glob("*")) - before) == 1


WRONG = [
    ({"lines": "rose - > tulip"}, "Line 1: “- >” is nearly an arrow"),
    ({"lines": ""}, "There is no concept"),
    ({"lines": "rose -> rose"}, "is to become itself"),
    ({"lines": "rose -> tulip |"}, "A variant is empty"),
    ({"lines": "rose -> [pictures]"}, "Only the mode “full” looks at pictures"),
    ({"templates": "a photo"}, "Every template needs {}"),
    ({"layers": "eleven"}, "are not understood; write numbers"),
    ({"layers": "40"}, "cannot be edited"),
    ({"mode": "attention"}, "connect the MODEL"),
    ({"mode": "full"}, "or choose the mode “text”"),
    ({"lines": "rose -> rose house", "templates": f"{'a ' * 29}{{}}"}, "differ only behind the 32 tokens"),
]


@pytest.mark.parametrize(("inputs", "sentence"), WRONG, ids=[sentence for _, sentence in WRONG])
def test_what_is_wrong_is_said_in_one_sentence(comfy, inputs, sentence):
    with pytest.raises(RunError) as caught:
        comfy.run(pocket(**inputs).sample("a rose"))
    assert sentence in str(caught.value) and "Traceback" not in str(caught.value)


def test_an_edit_of_concepts_is_for_a_clip(comfy):
    graph = PocketGraph()
    node = concepts(graph)
    conditioning = graph.add("CLIPTextEncode", clip=LOADED, text="a rose")
    put = graph.add("EditAssumptionConditioning", conditioning=conditioning[0], edit=node[1], strength=1.0)
    graph.sample("a rose", through=lambda _: put[0])
    with pytest.raises(RunError, match="put it on the CLIP with Apply Edit"):
        comfy.run(graph)
    graph = PocketGraph()
    node = concepts(graph)
    graph.model = graph.add("EditAssumptionApplyEdit", model=graph.model, edit=node[1], strength=1.0)[0]
    with pytest.raises(RunError, match="connect the CLIP"):
        comfy.run(graph.sample("a rose"))


def test_the_wrong_clip_is_refused(comfy):
    graph = PocketGraph()
    node = concepts(graph)
    other = graph.add("TestModel", family="sd1", size="small", weights="")
    applied = graph.add("EditAssumptionApplyEdit", model=graph.model, edit=node[1], strength=1.0, clip=other[1])
    graph.clip = applied[1]
    with pytest.raises(RunError, match="changes another text encoder"):
        comfy.run(graph.sample("a rose"))


def resident(comfy):
    """Megabytes of memory that the host has."""
    pages = int(Path(f"/proc/{comfy.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read where Linux shows it")
def test_at_full_size_the_checkpoint_stays_and_memory_returns(comfy, full_checkpoint):
    def plain(name):
        return encoded(comfy, Pipeline(checkpoint=full_checkpoint), name)

    before, sizes = plain("full.safetensors"), []
    for number, lines in enumerate(("rose -> tulip", "rose -> castle\nhouse ->", "rose -> table")):
        graph = Pipeline(checkpoint=full_checkpoint)
        few = graph.add(
            "EditAssumptionConceptStatistics", clip=graph.clip, captions="captions of the pack", count=100, layers=""
        )
        node = (asked if number == 1 else concepts)(graph, lines, statistics=few[0])
        assert distance(encoded(comfy, graph, f"full{number}.safetensors")[0], before[0]) > 0.01
        assert "clip_l layers 7, 8, 9, 10" in text(graph.outputs, node)
        sizes.append(resident(comfy))
    assert torch.equal(plain("full-again.safetensors"), before)
    assert sizes[2] < sizes[1] + 200  # the encoder's copy in float32 alone has 470
