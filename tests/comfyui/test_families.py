"""Every family of models, its text edited: what the source gives is what the destination would have given."""

import re
from typing import ClassVar

import pytest
import torch
from comfy_graphs import Drawing, PocketGraph, latent, latent_of, text
from comfy_server import RunError
from formulas import distance
from safetensors.torch import load_file

SOURCE, DESTINATION = "a pink rose", "a blue rose"
OTHERS = {"aura": "a red rose"}
"""The source where it has as many tokens as the destination only so."""
FAMILIES = (
    "z_image", "lumina2", "qwen_image", "mage_flow", "krea2", "flux2", "flux2_klein", "chroma", "longcat", "wan",
    "cosmos_predict2", "minimax_h3", "hunyuan_image", "kandinsky5", "omnigen2", "ideogram4", "ernie", "joyimage", "aura",
    "ltxv", "ltx2", "hunyuan_video", "lens", "pixeldit", "boogu",
)  # fmt: skip
POOLED = ("kandinsky5", "hunyuan_video")
"""What reads a pooled embedding, too."""
WITH_SOUND = ("minimax_h3",)
BEHIND_NORM = ("z_image", "lumina2", "qwen_image", "mage_flow", "omnigen2", "ideogram4", "lens", "boogu")
"""Those with a norm before the layer through which all text enters."""
BY_WEIGHTS = (
    "flux2", "chroma", "longcat", "wan", "minimax_h3", "kandinsky5", "ernie", "joyimage", "aura", "ltxv", "hunyuan_image",
    "hunyuan_video", "pixeldit", "cosmos_predict2", "anima", *BEHIND_NORM,
)  # fmt: skip
"""Those with a layer through which all text enters."""
BY_BLOCKS = ("wan", "cosmos_predict2", "anima")
"""Those whose blocks read text as a UNet's do."""
HOOKED = ("z_image", "krea2", "wan", "lens")
"""Of those whose text a hook maps: behind a norm, behind several, behind layers of all steps, before a layer."""
LEFT = {"flux2": 0.1}
"""Where the text hardly matters, and rounding is a share of that: 0.01 for all others."""
EXACT = dict(destination=DESTINATION, augmentations="", regularization=0.001, applied_to="text")


class FamilyGraph(Drawing):
    sampling: ClassVar = dict(steps=2, cfg=1.0, sampler_name="euler", scheduler="simple", denoise=1.0)

    def __init__(self, family, clip=None):
        super().__init__("TestFamily", family=family)
        self.family, self.latent, self.source = family, self.vae, OTHERS.get(family, SOURCE)
        if clip:
            self.clip = self.add("TestFamily", family=clip)[1]

    def edit(self, **inputs):
        return super().edit(source=self.source, **{**EXACT, **inputs})

    def sample(self, prompt=None, through=lambda link: link):
        encoded = through(self.add("CLIPTextEncode", clip=self.clip, text=prompt or self.source)[0])
        self.sampled = self.add(
            "KSampler", model=self.model, positive=encoded, negative=encoded, latent_image=self.latent, seed=self.seed,
            **self.sampling,
        )  # fmt: skip
        samples = self.sampled[0]
        if self.family in WITH_SOUND:
            samples = self.add("LTXVSeparateAVLatent", av_latent=samples)[0]
        self.named["latent"] = self.add("SaveLatent", samples=samples, filename_prefix="latents/test")
        return self

    def hashed(self):
        """Say at the end whether a weight was changed."""
        return self.add("TestWeights", model=self.model, name="after.safetensors", after=self.sampled[0])


def skip_unknown(comfy, *families):
    nodes = comfy.get("/object_info")
    known = nodes["TestFamily"]["input"]["required"]["family"][1]["options"] if "TestFamily" in nodes else ()
    for family in families:
        if family not in known:
            pytest.skip(f"this ComfyUI does not know {family}")


@pytest.fixture(params=FAMILIES)
def family(request, comfy):
    skip_unknown(comfy, request.param)
    return request.param


def test_the_source_gives_what_the_destination_gave(comfy, family):
    plain = FamilyGraph(family).sample()
    before = plain.hashed()
    source = latent_of(comfy, plain, outputs := comfy.run(plain))
    untouched = text(outputs, before)
    destination = latent(comfy, FamilyGraph(family).sample(DESTINATION))
    assert torch.isfinite(source).all() and distance(source, destination) > 1e-4

    graph = FamilyGraph(family)
    node = graph.edit(pooled=family in POOLED)
    after = graph.sample().hashed()
    edited = latent_of(comfy, graph, outputs := comfy.run(graph))
    assert float((edited - destination).norm() / (source - destination).norm()) < LEFT.get(family, 0.01)
    said = text(outputs, node)
    assert "put on the text that the model reads" in said and "projection" not in said
    assert text(outputs, after) == untouched

    off = FamilyGraph(family)
    off.edit(strength=0.0)
    assert torch.equal(latent(comfy, off.sample()), source)


@pytest.mark.parametrize("family", BY_WEIGHTS)
def test_weights_and_lora_do_the_same_where_one_layer_reads_all_text(comfy, family):
    skip_unknown(comfy, family)
    source, destination = (latent(comfy, FamilyGraph(family).sample(prompt)) for prompt in (None, DESTINATION))
    graph = FamilyGraph(family)
    node = graph.edit(applied_to="weights", pooled=family in POOLED)
    into = dict(filename_prefix=f"loras/{family}", tolerance=0.0, precision="float32")
    save = graph.add("EditAssumptionSaveLora", model=graph.loaded, edit=node[1], **into)
    edited = latent_of(comfy, graph, outputs := comfy.run(graph.sample()))
    assert float((edited - destination).norm() / (source - destination).norm()) < LEFT.get(family, 0.01)
    said = text(outputs, node)
    assert "patched" in said and "experimental" in said
    loaded = FamilyGraph(family)
    loaded.lora(text(outputs, save).split(" ")[1].removeprefix("loras/"))
    assert float((latent(comfy, loaded.sample()) - edited).norm() / (source - destination).norm()) < LEFT.get(family, 0.01)


@pytest.mark.parametrize("family", BEHIND_NORM[:1])
def test_behind_a_norm_the_better_way_is_chosen_and_said(comfy, family):
    skip_unknown(comfy, family)
    graph = FamilyGraph(family)
    node = graph.edit(applied_to="automatic")
    edited = latent_of(comfy, graph, outputs := comfy.run(graph.sample()))
    said = text(outputs, node)
    way = re.search(r"(text|weights) chosen: related prompts come within [\d.]+ % of the destination \([\d.]+ % by", said)[1]
    assert ("put on the text" in said) == (way == "text") and ("projection" in said) == (way == "weights")
    assert distance(edited, latent(comfy, FamilyGraph(family).sample(DESTINATION))) < 1e-3


def test_a_checkpoint_holds_an_edit_behind_a_norm(comfy):
    skip_unknown(comfy, "lens")
    plain, edited = FamilyGraph("lens"), FamilyGraph("lens")
    node = edited.edit(applied_to="weights")
    into = dict(filename_prefix="loras/saved", tolerance=0.0, precision="float32")
    edited.add("EditAssumptionSaveLora", model=edited.loaded, edit=node[1], **into)
    for graph, name in ((plain, "plain"), (edited, "edited")):
        graph.add("ModelSave", model=graph.model, filename_prefix=f"saved/{name}")
        comfy.run(graph)
    out = comfy.base / "output"
    before, after = (load_file(out / "saved" / f"{name}_00001_.safetensors") for name in ("plain", "edited"))
    lora = load_file(next((out / "loras").glob("saved_*.safetensors")))
    up, down = (lora[f"diffusion_model.txt_in.lora_{side}.weight"] for side in ("up", "down"))
    changed = [key for key in before if not torch.equal(before[key], after[key])]
    assert [key.endswith("txt_in.weight") for key in changed] == [True]
    assert distance(after[changed[0]] - before[changed[0]], up @ down) < 1e-3


def test_an_edit_of_another_place_is_refused(comfy):
    skip_unknown(comfy, "chroma", "qwen_image")
    for source, target, place, why in (
        (
            "qwen_image",
            "chroma",
            "automatic",
            "solved for a model that reads text behind a norm, unlike this one; make it again",
        ),
        (
            "chroma",
            "qwen_image",
            "weights",
            "In this model norms stand before the weights that read text, and this edit was solved without",
        ),
    ):
        graph = FamilyGraph(source)
        edit = graph.edit()[1]
        model = graph.add("TestFamily", family=target)[0]
        applied = graph.add("EditAssumptionApplyEdit", model=model, edit=edit, strength=1.0, applied_to=place)
        graph.add("PreviewAny", source=applied[0])
        with pytest.raises(RunError, match=why):
            comfy.run(graph)


@pytest.mark.parametrize(
    ("family", "why"),
    [
        ("omnigen2", "but this OmniGen2 or Boogu model reads 64"),
        ("ltx2", "and no layer of this model reads as many; connect the CLIP"),
    ],
)
def test_the_clip_of_another_family_is_refused(comfy, family, why):
    skip_unknown(comfy, family, "longcat")
    graph = FamilyGraph(family, clip="longcat")
    graph.edit()
    with pytest.raises(RunError, match=f"gives 640 numbers a token, {why}"):
        comfy.run(graph.sample())


def test_captions_are_held_behind_layers_of_the_model(comfy):
    skip_unknown(comfy, "wan")
    graph = FamilyGraph("wan")
    node = graph.edit(applied_to="automatic", projections="values", regularizer="captions")
    assert re.search(
        r"2 projections patched \(2 values\).*\nvalues changed by .*, ordinary captions by",
        text(comfy.run(graph.sample()), node),
    )


@pytest.mark.parametrize("family", ["ltx2", "minimax_h3"])
def test_no_hook_can_hold_what_is_read_before_the_steps(comfy, family):
    skip_unknown(comfy, family)
    graph = FamilyGraph(family)
    node = graph.edit()
    hooks = graph.add("EditAssumptionHook", model=graph.loaded, edit=node[1], strength=1.0)
    graph.add("PreviewAny", source=hooks[0])
    with pytest.raises(RunError, match=r"No hook can hold this edit of this model.* with Edit Conditioning"):
        comfy.run(graph.sample())


def hooked(comfy, family, *frames, **inputs):
    """The source with the edit as a hook, at strengths from parts of the steps on; and what the node says."""
    graph = FamilyGraph(family)
    node = graph.edit(**inputs)
    graph.model = graph.loaded
    hooks = graph.add("EditAssumptionHook", model=graph.loaded, edit=node[1], strength=1.0)
    keyframes = []
    for strength, start in frames:
        before = {"prev_hook_kf": keyframes[0]} if keyframes else {}
        keyframes = graph.add("CreateHookKeyframe", strength_mult=strength, start_percent=start, **before)
    link = graph.add("SetHookKeyframes", hooks=hooks[0], hook_kf=keyframes[0])[0] if frames else hooks[0]
    graph.sample(
        through=lambda encoded: graph.add(
            "ConditioningSetProperties", cond_NEW=encoded, strength=1.0, set_cond_area="default", hooks=link
        )[0]
    )
    return latent_of(comfy, graph, outputs := comfy.run(graph)), text(outputs, hooks)


@pytest.mark.parametrize("family", HOOKED)
def test_a_hook_maps_the_text_for_a_part_of_the_steps(comfy, family):
    skip_unknown(comfy, family)
    source, destination = (latent(comfy, FamilyGraph(family).sample(prompt)) for prompt in (None, DESTINATION))
    size = float((source - destination).norm())
    always, said = hooked(comfy, family)
    assert float((always - destination).norm()) < 0.01 * size and "on the text of the prompts that have the hook" in said
    assert torch.equal(hooked(comfy, family, (0.0, 0.0))[0], source)
    late = hooked(comfy, family, (0.0, 0.0), (1.0, 0.5))[0]
    assert float((late - source).norm()) > 0.01 * size and float((late - always).norm()) > 0.01 * size


@pytest.mark.parametrize("family", ["anima", "hunyuan_video"])
def test_a_hook_on_weights_where_the_text_is_not_all(comfy, family):
    skip_unknown(comfy, family)
    source, destination = (latent(comfy, FamilyGraph(family).sample(prompt)) for prompt in (None, DESTINATION))
    edited, said = hooked(comfy, family, applied_to="automatic", pooled=family in POOLED)
    assert float((edited - destination).norm()) < 0.01 * float((source - destination).norm())
    assert "projections while the hook is on" in said


def test_a_model_that_is_handed_more_than_rows_is_refused(comfy):
    skip_unknown(comfy, "hidream")
    graph = FamilyGraph("hidream")
    graph.edit()
    with pytest.raises(
        RunError, match=r"more of each prompt than its embeddings \(conditioning_llama3\), which no edit reaches"
    ):
        comfy.run(graph.sample())


@pytest.mark.parametrize("family", BY_BLOCKS)
def test_keys_values_and_blocks_are_edited_where_blocks_read_text(comfy, family):
    skip_unknown(comfy, family)
    source, destination = (latent(comfy, FamilyGraph(family).sample(prompt)) for prompt in (None, DESTINATION))
    left = {}
    for name, edits in {
        "keys": [dict(projections="keys")],
        "both in turn": [dict(projections="keys"), dict(projections="values")],
        "block by block": [dict(blocks="blocks.0"), dict(blocks="blocks.1")],
    }.items():
        graph = FamilyGraph(family)
        nodes = [graph.edit(applied_to="automatic", **edit) for edit in edits]
        edited = latent_of(comfy, graph, outputs := comfy.run(graph.sample()))
        left[name] = float((edited - destination).norm() / (source - destination).norm())
        assert all("2 projections patched" in text(outputs, node) for node in nodes)
    assert left["both in turn"] < 0.01 and left["block by block"] < 0.01 < left["keys"]


def test_an_edit_behind_layers_of_the_model_is_put_on_again_there_alone(comfy):
    skip_unknown(comfy, "wan", "anima")
    pictures = []
    for again in (False, True):
        graph = FamilyGraph("wan")
        node = graph.edit(applied_to="automatic", projections="values")
        if again:
            graph.model = graph.add("EditAssumptionApplyEdit", model=graph.loaded, edit=node[1], strength=1.0)[0]
        pictures.append(latent(comfy, graph.sample()))
    assert distance(*pictures) < 1e-5
    for kind, why in (
        ("EditAssumptionApplyEdit", "reads text behind layers of Anima’s own, unlike this one"),
        ("EditAssumptionConditioning", "what Anima’s own layers make of a prompt; put it on the MODEL with Apply Edit"),
        ("EditAssumptionPreviewEdit", "which the text alone does not show"),
    ):
        graph = FamilyGraph("anima")
        edit = graph.edit(applied_to="automatic")[1]
        given = {
            "EditAssumptionApplyEdit": dict(model=graph.add("TestFamily", family="wan")[0], strength=1.0),
            "EditAssumptionConditioning": dict(
                conditioning=graph.add("CLIPTextEncode", clip=graph.clip, text="a rose")[0], strength=1.0
            ),
            "EditAssumptionPreviewEdit": dict(clip=graph.clip, related="", unrelated=""),
        }[kind]
        graph.add("PreviewAny", source=graph.add(kind, edit=edit, **given)[0])
        with pytest.raises(RunError, match=why):
            comfy.run(graph)


def test_the_text_of_a_model_with_layers_of_its_own_is_refused(comfy):
    skip_unknown(comfy, "anima")
    graph = FamilyGraph("anima")
    graph.edit()
    with pytest.raises(
        RunError, match="layers of its own read a prompt before keys and values do; let “applied_to” be weights"
    ):
        comfy.run(graph.sample())


def test_keys_alone_are_refused(comfy):
    skip_unknown(comfy, "z_image")
    graph = FamilyGraph("z_image")
    graph.edit(projections="keys", applied_to="automatic")
    with pytest.raises(RunError, match=r"Keys or values alone, and blocks, .*choose “keys and values”"):
        comfy.run(graph.sample())


def test_a_chain_is_solved_together_in_any_order(comfy):
    skip_unknown(comfy, "z_image")
    pairs = [(SOURCE, DESTINATION), ("a dog", "a white cat")]
    pictures = []
    for order in (pairs, pairs[::-1]):
        graph = FamilyGraph("z_image")
        for source, destination in order:
            node = graph.edit_by("EditAssumption", **{**EXACT, "source": source, "destination": destination, "strength": 1.0})
        outputs = comfy.run(graph.sample())
        pictures.append(latent_of(comfy, graph, outputs))
        said = text(outputs, node)
        assert "solved together" in said and DESTINATION in said
    assert distance(pictures[0], pictures[1]) < 1e-4
    assert distance(pictures[0], latent(comfy, FamilyGraph("z_image").sample(DESTINATION))) < 1e-3


def test_what_is_drawn_after_an_edit_of_the_text_says_so(comfy):
    skip_unknown(comfy, "wan")
    graph = FamilyGraph("wan")
    graph.edit(regularization=0.002)
    node = graph.edit(destination=f"{DESTINATION} | a dead rose")
    assert "drawn after the model's edits of the text" in text(comfy.run(graph.sample()), node)


def test_an_edit_of_the_text_moves_to_the_weights_with_a_second_one(comfy):
    skip_unknown(comfy, "chroma")
    graph = FamilyGraph("chroma")
    graph.edit()
    node = graph.edit_by(
        "EditAssumption", **{**EXACT, "source": "a dog", "destination": "a cat", "strength": 1.0, "applied_to": "weights"}
    )
    outputs = comfy.run(graph.sample())
    assert "patched" in text(outputs, node)
    assert distance(latent_of(comfy, graph, outputs), latent(comfy, FamilyGraph("chroma").sample(DESTINATION))) < 1e-3


def test_apply_edit_puts_it_on_the_text(comfy):
    skip_unknown(comfy, "qwen_image")
    graph = FamilyGraph("qwen_image")
    edit = graph.edit()[1]
    graph.model = graph.loaded
    applied = graph.add("EditAssumptionApplyEdit", model=graph.model, edit=edit, strength=1.0)
    graph.model = applied[0]
    outputs = comfy.run(graph.sample())
    assert "put on the text" in text(outputs, applied)
    expected = latent(comfy, FamilyGraph("qwen_image").sample(DESTINATION))
    assert distance(latent_of(comfy, graph, outputs), expected) < 1e-4


def test_no_checkpoint_holds_it_until_it_moves_to_the_weights(comfy):
    graph = PocketGraph()
    graph.edit(source="roses", destination="blue roses", applied_to="text")
    refused = dict(clip=graph.clip, vae=graph.vae, filename_prefix="checkpoints/text")
    moved = PocketGraph()
    for place in ("text", "weights"):
        moved.edit(source="roses", destination="blue roses", applied_to=place)
    moved.add("CheckpointSave", model=moved.model, **{**refused, "clip": moved.clip, "vae": moved.vae})
    comfy.run(moved)
    graph.add("CheckpointSave", model=graph.model, **refused)
    with pytest.raises(RunError, match="put on the text, which no checkpoint can hold; save its EDIT with Save Edit"):
        comfy.run(graph)


def test_captions_are_read_through_a_template(comfy):
    skip_unknown(comfy, "qwen_image")
    graph = FamilyGraph("qwen_image")
    node = graph.edit(regularizer="captions")
    outputs = comfy.run(graph.sample())
    said = text(outputs, node)
    assert "ordinary captions by" in said and "Warning" not in said
    source, destination = (latent(comfy, FamilyGraph("qwen_image").sample(prompt)) for prompt in (SOURCE, DESTINATION))
    edited = latent_of(comfy, graph, outputs)
    assert float((edited - destination).norm()) < 0.6 * float((source - destination).norm())


@pytest.mark.parametrize("place", ["weights", "text"])
def test_the_picture_is_the_same_by_either_way(comfy, place):
    graph, expected = PocketGraph(), PocketGraph()
    graph.edit(source="roses", destination="blue roses", applied_to=place)
    expected.edit(source="roses", destination="blue roses", applied_to="automatic")
    assert distance(latent(comfy, graph.sample("roses in a field")), latent(comfy, expected.sample("roses in a field"))) < 1e-3


@pytest.mark.parametrize("family", ["z_image", "qwen_image", "wan"])
def test_by_chance_a_picture_shows_one_variant(comfy, family):
    skip_unknown(comfy, family)
    variants = [DESTINATION, "a dead rose"]
    expected = [latent(comfy, FamilyGraph(family).sample(variant)) for variant in variants]
    graph = FamilyGraph(family)
    graph.edit(destination=" | ".join(variants))
    drawn = latent(comfy, graph.sample())
    left = [float((drawn - one).norm()) for one in expected]
    assert min(left) < 0.05 * float((expected[0] - expected[1]).norm()) < max(left)
