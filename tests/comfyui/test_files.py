"""Saving and sharing edits in a real ComfyUI."""

import shutil
import stat
from io import BytesIO

import pytest
import requests
import torch
from barriers import POSIX
from comfy_edits import saved_edit
from comfy_graphs import Pipeline, latent, latent_of, loaded_weights, text
from comfy_server import RunError
from formulas import distance
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file


def applying(name, family="sd1", strength=1.0, clip=None, clip_skip=None):
    graph = Pipeline(family)
    if clip_skip:
        graph.clip_skip(clip_skip)
    edit = graph.add("EditAssumptionLoadEdit", edit_name=name, clip=clip or graph.clip)
    node = graph.add("EditAssumptionApplyEdit", model=graph.model, edit=edit[0], strength=strength)
    graph.model = node[0]
    return graph.sample(), node, edit


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_saved_and_loaded_it_gives_the_same_picture(comfy, family):
    picture, name = saved_edit(comfy, family=family)
    graph, node, edit = applying(name, family)
    outputs = comfy.run(graph)
    assert torch.equal(latent_of(comfy, graph, outputs), picture)
    assert text(outputs, edit) == "! regularizer: identity\na pack of roses -> a pack of blue roses"
    assert "14 projections patched (7 keys, 7 values)" in text(outputs, node)


def test_a_chain_that_was_solved_together_is_saved_together(comfy):
    graph = Pipeline()
    graph.edit()
    last = graph.edit(source="a vase of tulips", destination="a vase of black tulips")
    save = graph.add("EditAssumptionSaveEdit", edit=last[1], filename_prefix="assumption_edits/chain")
    outputs = comfy.run(graph.sample())
    loaded, _, _ = applying(text(outputs, save).split(" ")[1].removeprefix("assumption_edits/"))
    assert torch.equal(latent(comfy, loaded), latent_of(comfy, graph, outputs))


def test_apply_edit_scales(comfy):
    picture, name = saved_edit(comfy)
    plain = latent(comfy, Pipeline().sample())
    off, _, _ = applying(name, strength=0.0)
    half, _, _ = applying(name, strength=0.5)
    assert torch.equal(latent(comfy, off), plain)
    assert distance(latent(comfy, half), plain) > 1e-3
    assert distance(latent(comfy, half), picture) > 1e-3


@pytest.mark.parametrize("turn", [1, -1], ids=["in order", "the other way"])
def test_loaded_edits_are_solved_together_where_the_clip_is_connected(comfy, turn):
    tulips = dict(source="a vase of tulips", destination="a vase of black tulips", strength=0.5)
    names = [saved_edit(comfy)[1], saved_edit(comfy, prefix="assumption_edits/tulips", **tulips)[1]]
    chained = Pipeline()
    chained.edit()
    chained.edit(**{**tulips, "strength": 0.25})
    loaded = Pipeline()
    for name, strength in list(zip(names, (1.0, 0.5), strict=True))[::turn]:
        edit = loaded.add("EditAssumptionLoadEdit", edit_name=name, clip=loaded.clip)
        loaded.model = loaded.add(
            "EditAssumptionApplyEdit", model=loaded.model, edit=edit[0], strength=strength, clip=loaded.clip
        )[0]
    assert torch.equal(latent(comfy, loaded.sample()), latent(comfy, chained.sample()))


def test_a_cover_is_shown_where_models_are_listed(comfy):
    graph = Pipeline()
    cover = graph.add("EmptyImage", width=640, height=320, batch_size=1, color=0x3366CC)
    save = graph.add("EditAssumptionSaveEdit", edit=graph.edit()[1], filename_prefix="assumption_edits/cover", cover=cover[0])
    name = text(comfy.run(graph.sample()), save).split(" ")[1].removeprefix("assumption_edits/")
    listed = {entry["name"]: entry["pathIndex"] for entry in comfy.get("/experiment/models/assumption_edits")}
    answer = requests.get(f"{comfy.url}/experiment/models/preview/assumption_edits/{listed[name]}/{name}", timeout=60)
    with Image.open(BytesIO(answer.content)) as image:
        assert image.size == (384, 192)
        red, green, blue = image.convert("RGB").getpixel((100, 100))
    assert abs(red - 0x33) < 8 and abs(green - 0x66) < 8 and abs(blue - 0xCC) < 8


def test_the_file_holds_recipe_and_workflow(comfy):
    _, name = saved_edit(comfy, prefix="assumption_edits/sub/contents", preserve="a pack of tulips")
    with safe_open(comfy.base / "output/assumption_edits" / name, "pt") as file:
        header = file.metadata()
    assert header["recipe_text"] == "! regularizer: identity\na pack of roses -> a pack of blue roses\n= a pack of tulips"
    assert "EditAssumption" in header["prompt"]


@POSIX
def test_saved_files_are_for_whoever_the_umask_lets_read_them(comfy):
    _, name = saved_edit(comfy)
    own = comfy.base / "output/own"
    own.write_text("")
    assert stat.S_IMODE((comfy.base / "output/assumption_edits" / name).stat().st_mode) == stat.S_IMODE(own.stat().st_mode)


@pytest.mark.parametrize("kind", ["Edit", "Lora"])
def test_a_place_that_cannot_be_written_is_refused_before_the_graph_runs(comfy, kind):
    folder = comfy.base / "output" / {"Edit": "assumption_edits", "Lora": "loras"}[kind]
    folder.mkdir(exist_ok=True)
    (folder / "blocked").write_text("")
    for prefix, sentence in (("blocked/edit", "a file stands where a folder is needed"), ("../edit", "leads out of ComfyUI")):
        graph = Pipeline()
        more = {} if kind == "Edit" else {"tolerance": 0.0, "precision": "float32"}
        graph.add(f"EditAssumptionSave{kind}", edit=graph.edit(source="")[1], filename_prefix=prefix, **more)
        with pytest.raises(RunError, match=sentence):  # not "The source is empty", as the editing node would say
            comfy.run(graph)
        graph.sample()  # with another output, which the host would run if it refused this one
        with pytest.raises(RunError, match=sentence):
            comfy.run(graph)


def test_the_server_tells_which_lora_files_are_edits(comfy):
    _, name = saved_edit(comfy)
    loras = comfy.base / "models/loras"
    loras.mkdir(exist_ok=True)
    shutil.copy(comfy.base / "output/assumption_edits" / name, loras / "an edit.safetensors")
    save_file({"a": torch.zeros(1)}, loras / "a lora.safetensors")

    def ask(names):
        return requests.post(f"{comfy.url}/edit_assumption/edits_among_loras", json=names, timeout=60)

    outside = f"../../output/assumption_edits/{name}"
    named = ["an edit.safetensors", "a lora.safetensors", "gone.safetensors", outside, ""]
    assert ask(named).json() == ["an edit.safetensors"]
    for nonsense in ({"names": []}, [1], ["x"] * 1001, None):
        assert ask(nonsense).status_code == 400


def test_a_name_without_a_folder_and_with_marks_is_listed_by_load_edit(comfy):
    _, name = saved_edit(comfy, prefix="%TestModel.family% of %date:yyyy%.safetensors")
    assert name.startswith("sd1 of 2") and name.endswith("_00001_.safetensors")
    options = comfy.get("/object_info/EditAssumptionLoadEdit")["EditAssumptionLoadEdit"]["input"]["required"]["edit_name"]
    assert name in str(options)


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (dict(family="sd2"), "made for another text encoder \\(width 768, this one gives 1024\\)"),
        (dict(clip_skip=-2), "made for another text encoder; connect the CLIP it was made with"),
    ],
    ids=["family", "clip skip"],
)
def test_an_edit_for_another_text_encoder_is_refused(comfy, other, sentence):
    _, name = saved_edit(comfy)
    graph, _, _ = applying(name, **other)
    with pytest.raises(RunError, match=sentence) as error:
        comfy.run(graph)
    assert "\n" not in error.value.sentences[0]
    comfy.run(Pipeline().sample())


def test_an_edit_for_another_model_is_refused(comfy):
    _, name = saved_edit(comfy)
    graph = Pipeline("sd2")
    clip = graph.add("TestModel", family="sd1", size="small", weights="")[1]
    edit = graph.add("EditAssumptionLoadEdit", edit_name=name, clip=clip)
    graph.model = graph.add("EditAssumptionApplyEdit", model=graph.model, edit=edit[0], strength=1.0)[0]
    with pytest.raises(RunError, match="reads 1024; connect the CLIP of the same checkpoint"):
        comfy.run(graph.sample())


def test_files_that_are_no_edits_are_refused(comfy):
    folder = comfy.base / "models/assumption_edits"
    (folder / "damaged.safetensors").write_bytes(b"\x00" * 100)
    save_file({"left": torch.zeros(2, 2)}, folder / "other.safetensors")
    for name, sentence in (("damaged.safetensors", "is damaged or is not an edit"), ("other.safetensors", "is not an edit")):
        graph, _, _ = applying(name)
        with pytest.raises(RunError, match=sentence):
            comfy.run(graph)
    graph, _, _ = applying("gone.safetensors")
    with pytest.raises(RunError, match=r"The edit “gone\.safetensors” is no longer there"):
        comfy.run(graph)


def test_a_file_that_changed_is_read_again(comfy):
    first, name = saved_edit(comfy)
    graph, _, _ = applying(name)
    assert torch.equal(latent(comfy, graph), first)
    second, other = saved_edit(comfy, strength=0.5)
    folder = comfy.base / "output/assumption_edits"
    (folder / other).replace(folder / name)
    assert torch.equal(latent(comfy, graph), second)


@pytest.mark.parametrize("bypassed", [False, True], ids=["strength 0", "bypassed"])
def test_where_no_edit_comes_in_the_picture_is_drawn_and_every_node_says_so(comfy, bypassed):
    graph = Pipeline()
    edit = {} if bypassed else {"edit": graph.edit(strength=0.0)[1]}
    nodes = [
        graph.add("EditAssumptionSaveEdit", filename_prefix="assumption_edits/none", **edit),
        graph.add("EditAssumptionSaveLora", filename_prefix="none", tolerance=0.0, precision="float32", **edit),
        graph.add("EditAssumptionPreviewEdit", clip=graph.clip, related="", unrelated="", **edit),
    ]
    apply = graph.add("EditAssumptionApplyEdit", model=graph.model, strength=1.0, **edit)
    graph.model = apply[0]
    conditionings = []

    def through(conditioning):
        conditionings.append(graph.add("EditAssumptionConditioning", conditioning=conditioning, strength=1.0, **edit))
        return conditionings[-1][0]

    outputs = comfy.run(graph.sample(through=through))
    assert torch.equal(latent_of(comfy, graph, outputs), latent(comfy, Pipeline().sample()))
    for node in (*nodes, apply, *conditionings):
        assert text(outputs, node).startswith("No edit comes in: the node that makes it is bypassed, not connected, or at")
    assert not list((comfy.base / "output").rglob("none*"))


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_its_lora_gives_the_same_picture_through_load_lora(comfy, family):
    graph = Pipeline(family)
    node = graph.edit()
    save = graph.add(
        "EditAssumptionSaveLora",
        model=graph.loaded,
        edit=node[1],
        filename_prefix="loras/edit",
        tolerance=0.0,
        precision="float32",
    )
    outputs = comfy.run(graph.sample())
    shown = text(outputs, save)
    loaded = Pipeline(family)
    loaded.lora(shown.split(" ")[1].removeprefix("loras/"))
    picture = latent(comfy, loaded.sample())
    print(f"{family}: LoRA {distance(picture, latent_of(comfy, graph, outputs)):.1e} from the edit")
    assert distance(picture, latent_of(comfy, graph, outputs)) < 1e-4
    assert "lora key not loaded" not in comfy.log.read_text()


def test_a_truncated_lora_is_as_close_as_stated(comfy):
    plain, _ = loaded_weights(comfy, Pipeline().sample())
    graph = Pipeline()
    node = graph.edit()
    save = graph.add(
        "EditAssumptionSaveLora",
        model=graph.model,
        edit=node[1],
        filename_prefix="loras/small",
        tolerance=0.1,
        precision="float32",
    )
    exact, _ = loaded_weights(comfy, graph.sample(), "exact.safetensors")
    name = text(graph.outputs, save).split(" ")[1].removeprefix("loras/")
    with safe_open(comfy.base / "output/loras" / name, "pt") as file:
        ranks = {float(file.get_tensor(key)) for key in file.keys() if key.endswith(".alpha")}  # noqa: SIM118
        assert file.metadata()["ss_base_model_version"] == "sd_v1"
    assert max(ranks) < 283
    loaded = Pipeline()
    loaded.lora(name)
    after, _ = loaded_weights(comfy, loaded.sample(), "truncated.safetensors")
    for key in plain:
        assert 0.01 < distance(after[key] - plain[key], exact[key] - plain[key]) < 0.1 + 1e-3


def test_the_drop_down_lists_saved_edits(comfy):
    _, name = saved_edit(comfy, prefix="assumption_edits/listed")
    options = comfy.get("/object_info/EditAssumptionLoadEdit")["EditAssumptionLoadEdit"]["input"]["required"]["edit_name"]
    assert name in str(options)
