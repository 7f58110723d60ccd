"""Concept edits in a real A1111 and a real Forge, against checkpoints whose text encoder was changed beforehand."""

import threading
import time

import pytest
import torch
from edit_assumption.editing.concepts.concept_edit import ConceptEdit
from edit_assumption.editing.concepts.concept_lines import Concept
from edit_assumption.editing.concepts.concept_recipe import ConceptRecipe
from edit_assumption.editing.concepts.sentences import Tokens
from edit_assumption.editing.concepts.text_encoder import TextEncoder
from edit_assumption.editing.concepts.tower import Tower, below_text_model
from edit_assumption.editing.edit_file import save_edit
from safetensors.torch import load_file
from webui_scenes import (
    SCENES,
    checkpoint_of,
    new_checkpoint,
    plotted,
    save_lora,
    shows,
    skip_where_loras_do_nothing,
    skip_where_the_api_cannot_paste,
    tokenizer_folder,
    with_image,
)
from webui_server import Refused, write_checkpoint

PROMPT = "a field of roses"
RECIPE = "a pack of roses -> a pack of blue roses"
PANEL = [RECIPE, 1.0, 0.1, "", "identity"]
RECIPES = {"swap": ConceptRecipe((Concept("tench", "goldfish"),)), "other": ConceptRecipe((Concept("saber (fate)", "a cat"),))}
HIRES = SCENES["hires fix"]
# Name of the text encoder to its place in a checkpoint, heads and activation.
CLIP_L = {"clip_l": ("cond_stage_model.transformer.text_model.", 12, "quick_gelu")}
ENCODERS = {
    "thin": CLIP_L,
    "sd2": {"clip_h": ("cond_stage_model.model.", 16, "gelu")},
    "sdxl": {
        "clip_l": ("conditioner.embedders.0.transformer.text_model.", 12, "quick_gelu"),
        "clip_g": ("conditioner.embedders.1.model.", 20, "gelu"),
    },
}
OPEN_CLIP = {  # its names to transformers'
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_final.": "final_layer_norm.",
    "transformer.resblocks.": "encoder.layers.",
    ".ln_1.": ".layer_norm1.",
    ".ln_2.": ".layer_norm2.",
    ".mlp.c_fc.": ".mlp.fc1.",
    ".mlp.c_proj.": ".mlp.fc2.",
    ".attn.out_proj.": ".self_attn.out_proj.",
}


def renamed(name):
    for theirs, ours in OPEN_CLIP.items():
        name = name.replace(theirs, ours)
    return name


def text_weights(state, prefix):
    """By transformers' names, from either library's."""
    found = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    for name in [name for name in found if ".attn.in_proj_" in name]:
        before, kind = name.split(".attn.in_proj_")
        parts = zip("qkv", found.pop(name).chunk(3), strict=True)
        found |= {f"{before}.self_attn.{letter}_proj.{kind}": part for letter, part in parts}
    if not prefix.endswith("text_model."):
        found = {renamed(name): tensor for name, tensor in found.items()}
    return below_text_model({f"text_model.{name}": tensor for name, tensor in found.items()})


def tokenizer(webui, pad=None):
    transformers = pytest.importorskip("transformers")
    clip = transformers.CLIPTokenizer.from_pretrained(tokenizer_folder(webui))

    def tokenize(prompts):
        found = []
        for prompt in prompts:
            ids = clip(prompt)["input_ids"]
            words = range(1, len(ids) - 1)
            ids += [clip.eos_token_id if pad is None else pad] * (77 - len(ids))
            found.append(Tokens(tuple(ids), tuple(clip.convert_ids_to_tokens(ids)), words))
        return found

    return tokenize


def text_encoders(webui, checkpoint, family="thin"):
    state = load_file(checkpoint_of(webui, checkpoint))
    for name, (prefix, heads, activation) in ENCODERS[family].items():
        weights = text_weights(state, prefix)
        depth = 1 + max(int(key.split(".")[2]) for key in weights if key.startswith("encoder.layers."))
        yield TextEncoder(name, Tower(weights, heads, activation, depth), tokenizer(webui, None if name == "clip_l" else 0))


def save_concepts(webui, name, checkpoint="thin", family="thin", recipe="swap", seed=0):
    """A saved edit of random factors for a checkpoint's text encoders."""
    generator = torch.Generator().manual_seed(seed)
    recipe, changes, identities = RECIPES[recipe], {}, {}
    for encoder in text_encoders(webui, checkpoint, family):
        tower = encoder.tower
        changes[encoder.name] = {
            layer: (
                torch.randn(tower.width, 4, generator=generator) * 0.02,
                torch.randn(4, tower.key_width, generator=generator),
            )
            for layer in range(tower.depth - 5, tower.depth - 1)
        }
        identities[encoder.name] = encoder.identity(recipe.concepts[0].sentences(recipe.templates)[0][0], tower.depth - 1)
    edit = ConceptEdit(recipe, changes, identities, 0.1)
    (webui.base / "models/EditAssumption").mkdir(parents=True, exist_ok=True)
    save_edit(edit, webui.base / f"models/EditAssumption/{name}.safetensors")
    return edit


def changed_checkpoint(webui, name, *edits, checkpoint="thin", family="thin", more=()):
    """A checkpoint of the matrices W + up down.

    Args:
        more: names of weights, and what is added to them.
    """
    state = load_file(checkpoint_of(webui, checkpoint))
    for edit in edits:
        for encoder, layers in edit.changes.items():
            prefix = ENCODERS[family][encoder][0]
            place = "encoder.layers.{}.mlp.fc2.weight" if encoder == "clip_l" else "transformer.resblocks.{}.mlp.c_proj.weight"
            for layer, (up, down) in layers.items():
                key = prefix + place.format(layer)
                state[key] = state[key].float() + up @ down
    for key, change in more:
        state[key] = state[key].float() + change
    return new_checkpoint(webui, name, state, like=checkpoint)


def picture_of(webui, checkpoint, *arguments, **scene):
    """From another checkpoint."""
    webui.use(checkpoint)
    drawn = webui.draw(*arguments, **scene)
    webui.use("thin")
    return drawn


@pytest.fixture(autouse=True)
def thin(webui):
    webui.use("thin")


@pytest.fixture(scope="module")
def swap(webui):
    """A saved edit of this name, for "thin"."""
    return save_concepts(webui, "swap")


@pytest.fixture(scope="module")
def swapped(webui, swap):
    """The name of a checkpoint that has that edit."""
    return changed_checkpoint(webui, "swapped", swap)


@pytest.fixture(scope="module")
def beforehand(webui, swapped):
    webui.use(swapped)
    return {name: webui.draw(**with_image(webui, scene)) for name, scene in SCENES.items()}


def with_edit(scene, name="swap"):
    return {**scene, "prompt": f"{scene.get('prompt', PROMPT)} <edit:{name}>"}


@pytest.mark.parametrize("scene", SCENES)
def test_a_concept_edit_is_the_checkpoint_changed_beforehand(webui, beforehand, scene):
    settings = with_image(webui, SCENES[scene])
    plain, before = webui.draw(**settings), webui.state()
    edited = webui.draw(**with_edit(settings))
    assert edited.away(beforehand[scene]) <= 1
    assert edited.away(plain) > 8
    assert webui.draw(**settings).away(plain) == 0
    assert webui.state() == before and before["text_hooks"] == 0


def test_clip_skip(webui, swapped):
    skipped = dict(override_settings={"CLIP_stop_at_last_layers": 2})
    expected = picture_of(webui, swapped, **skipped)
    assert webui.draw(**with_edit(skipped)).away(expected) <= 1


def test_the_negative_prompt_is_read_by_the_same_encoder(webui, swapped):
    scene = dict(prompt="", negative_prompt="a house by the sea", cfg_scale=12)
    expected = picture_of(webui, swapped, **scene)
    edited = webui.draw(**with_edit(scene))
    assert edited.away(expected) <= 1 and edited.away(webui.draw(**scene)) > 8


def test_strength(webui, swap):
    expected = picture_of(webui, changed_checkpoint(webui, "half", swap.scale(0.5)))
    assert webui.draw(f"{PROMPT} <edit:swap:0.5>").away(expected) <= 1
    assert webui.draw(f"{PROMPT} <edit:swap:0>").away(webui.draw()) == 0


def test_several_at_once(webui, swap):
    second = save_concepts(webui, "second", recipe="other", seed=1)
    expected = picture_of(webui, changed_checkpoint(webui, "two", swap.scale(0.7), second))
    assert webui.draw(f"{PROMPT} <edit:swap:0.7><edit:second>").away(expected) <= 1


def test_the_projections_edits_are_solved_in_the_changed_space(webui, swapped):
    expected = picture_of(webui, swapped, edit=PANEL)
    both = webui.draw(f"{PROMPT} <edit:swap>", edit=PANEL)
    assert both.away(expected) <= 1
    assert both.away(webui.draw(edit=PANEL)) > 8
    body = {"recipe": RECIPE, "regularizer": "identity", "name": "roses", "overwrite": True}
    webui.post("/edit-assumption/save", body).raise_for_status()
    assert webui.draw(f"{PROMPT} <edit:swap><edit:roses>").away(both) <= 1


def test_a_lora_of_the_text_encoder_goes_with_it(webui, swap):
    skip_where_loras_do_nothing(webui)
    key = "cond_stage_model.transformer.text_model.encoder.layers.8.mlp.fc2"
    name = "lora_te_text_model_encoder_layers_8_mlp_fc2"
    generator = torch.Generator().manual_seed(6)
    up, down = torch.randn(768, 4, generator=generator) * 0.005, torch.randn(4, 3072, generator=generator)
    tensors = {f"{name}.lora_up.weight": up, f"{name}.lora_down.weight": down, f"{name}.alpha": torch.tensor(4.0)}
    save_lora(webui, "fc2", tensors)
    both = changed_checkpoint(webui, "lora and concepts", swap, more=[(f"{key}.weight", up @ down)])
    expected = picture_of(webui, both)
    plain = webui.draw()
    assert webui.draw(f"{PROMPT} <lora:fc2:1><edit:swap>").away(expected) <= 1
    assert webui.draw().away(plain) == 0


def test_a_plot_leaves_nothing_in_the_caches(webui, swapped):
    """Its cells have equal prompts, by which the WebUI keeps what the text encoder said."""
    expected = picture_of(webui, swapped)
    plain = webui.draw()
    for order in (["None", "swap"], ["swap", "None"]):
        cells = plotted(webui, "Saved edit", ", ".join(order), order, [False])
        assert shows(cells, plain) and shows(cells, expected, within=1)
        assert webui.draw().away(plain) == 0


def test_the_hires_pass_has_its_own_edits(webui, swapped):
    scene = with_image(webui, {**HIRES, "hr_prompt": "a blue sky"})
    first = dict(hr_checkpoint_name="thin")
    expected = picture_of(webui, swapped, **{**scene, **first})
    assert webui.draw(**with_edit(scene)).away(expected) <= 1
    webui.use("thin")
    second = with_image(webui, {**HIRES, "hr_checkpoint_name": swapped})
    expected = webui.draw(**second)
    webui.use("thin")
    assert webui.draw(**with_image(webui, {**HIRES, "hr_prompt": f"{PROMPT} <edit:swap>"})).away(expected) <= 1


def test_a_refiner_of_another_text_encoder_goes_without(webui, swapped):
    scene = dict(steps=4, refiner_checkpoint="other", refiner_switch_at=0.5)
    expected = picture_of(webui, swapped, **scene)
    assert webui.draw(**with_edit(scene)).away(expected) <= 1


@pytest.mark.parametrize("when", ["NOW", "WHILE ENCODING"])
def test_an_error_leaves_nothing_behind(webui, swap, when):
    plain, before = webui.draw(), webui.state()
    with pytest.raises(Refused, match="failed as told"):
        webui.draw(f"{PROMPT} <edit:swap> FAIL {when}")
    assert webui.state() == before
    assert webui.draw().away(plain) == 0


def test_an_interrupt_leaves_nothing_behind(webui, swap):
    plain, before = webui.draw(), webui.state()
    waiting = threading.Thread(target=lambda: webui.draw(f"{PROMPT} <edit:swap>", steps=150))
    waiting.start()
    deadline = time.monotonic() + 120
    while webui.get("/sdapi/v1/progress").json()["state"]["sampling_step"] < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    webui.post("/sdapi/v1/interrupt").raise_for_status()
    waiting.join()
    assert webui.state() == before
    assert webui.draw().away(plain) == 0


def test_an_edit_for_another_text_encoder_is_refused(webui):
    save_concepts(webui, "of another", checkpoint="other")
    plain, before = webui.draw(), webui.state()
    with pytest.raises(Refused, match="The edit “of another” changes another text encoder than this checkpoint's"):
        webui.draw(f"{PROMPT} <edit:of another>")
    assert webui.draw().away(plain) == 0 and webui.state() == before
    webui.use("other")
    plain = webui.draw()
    assert webui.draw(f"{PROMPT} <edit:of another>").away(plain) > 8


def test_a_strength_beyond_the_limits_is_refused(webui, swap):
    with pytest.raises(Refused, match="The strength is 3"):
        webui.draw(f"{PROMPT} <edit:swap:3>")


def test_a_damaged_file_is_refused(webui, swap):
    saved = webui.base / "models/EditAssumption/swap.safetensors"
    (webui.base / "models/EditAssumption/damaged.safetensors").write_bytes(saved.read_bytes()[:-100])
    try:
        with pytest.raises(Refused, match="damaged"):
            webui.draw(f"{PROMPT} <edit:damaged>")
    finally:
        webui.delete("/edit-assumption/edits/damaged").raise_for_status()


def test_it_is_listed_with_its_lines(webui, swap):
    assert {"name": "swap", "recipe": swap.recipe.to_text(), "problem": ""} in webui.get("/edit-assumption/edits").json()
    answer = webui.post("/edit-assumption/solve", {"recipe": swap.recipe.to_text()})
    assert answer.status_code == 422


def test_the_parameters_bring_the_picture_back(webui, swap):
    first = webui.draw(f"{PROMPT} <edit:swap:0.7>", edit=PANEL)
    assert "tench -> goldfish" in first.infotext
    skip_where_the_api_cannot_paste(webui)
    assert webui.again(first).away(first) == 0
    alone = webui.draw(f"{PROMPT} <edit:swap:0.7>")
    assert webui.again(alone).away(alone) == 0 and alone.away(first) > 8


def test_the_parameters_of_an_edit_that_is_gone_do_not_fill_the_panel(webui):
    skip_where_the_api_cannot_paste(webui)
    save_concepts(webui, "gone", seed=2)
    first, plain = webui.draw(f"{PROMPT} <edit:gone>"), webui.draw()
    webui.delete("/edit-assumption/edits/gone").raise_for_status()
    assert webui.again(first).away(plain) == 0


@pytest.mark.parametrize("family", ["sd2", "sdxl"])
def test_other_families(webui, family):
    if webui.kind != "A1111":
        pytest.skip("Forge and its successors know SD 2.x and SDXL at their full size alone")
    write_checkpoint(checkpoint_of(webui, family), family)
    webui.post("/sdapi/v1/refresh-checkpoints").raise_for_status()
    edit = save_concepts(webui, f"of {family}", family, family)
    webui.use(family)
    plain = webui.draw()
    edited = webui.draw(f"{PROMPT} <edit:of {family}>")
    assert edited.away(plain) > 8 and webui.draw().away(plain) == 0
    webui.use(changed_checkpoint(webui, f"changed {family}", edit, checkpoint=family, family=family))
    assert webui.draw().away(edited) <= 1
    webui.use("thin")
    with pytest.raises(Refused, match="changes another text encoder"):
        webui.draw(f"{PROMPT} <edit:of {family}>")
