"""Edits in a real A1111 and a real Forge, against checkpoints that were edited beforehand by the published formula."""

import re
import threading
import time

import pytest
import torch
from comfy_graphs import DESTINATION, SOURCE, Pipeline, sentences, text
from formulas import distance, insertion, published_map
from safetensors.torch import load_file
from webui_scenes import (
    ALSO,
    SCENES,
    applies_loras,
    checkpoint_of,
    new_checkpoint,
    save_lora,
    skip_where_loras_do_nothing,
    skip_where_the_api_cannot_paste,
    tokenizer_folder,
    with_image,
)
from webui_server import Refused, write_checkpoint

RECIPE = f"{SOURCE} -> {DESTINATION}"
EDIT = [RECIPE, 1.0, 0.1, "", "identity"]
OTHER = "a vase of tulips -> a vase of black tulips"
ALONE = (".attn2.to_k.weight", ".attn2.to_v.weight")


def encoded(webui, texts, checkpoint="thin", skip=1):
    """What transformers makes of texts with the checkpoint's text encoder."""
    transformers = pytest.importorskip("transformers")
    state = load_file(checkpoint_of(webui, checkpoint))
    prefix = "cond_stage_model.transformer."
    own = {name.removeprefix(prefix): tensor.float() for name, tensor in state.items() if name.startswith(prefix)}
    config = transformers.CLIPTextConfig(
        vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12
    )
    model = transformers.CLIPTextModel(config).eval()
    names = {name: name if name in model.state_dict() else name.removeprefix("text_model.") for name in own}
    model.load_state_dict({names[name]: tensor for name, tensor in own.items()}, strict=False)
    tokenizer = transformers.CLIPTokenizer.from_pretrained(tokenizer_folder(webui))
    ids = torch.tensor(tokenizer(texts, padding="max_length", max_length=77)["input_ids"])
    with torch.inference_mode():
        hidden = model(ids, output_hidden_states=True).hidden_states[-skip]
        final = getattr(model, "text_model", model).final_layer_norm
        return dict(zip(texts, final(hidden), strict=True))


def formula(webui, source=SOURCE, destination=DESTINATION, checkpoint="thin", skip=1):
    found = encoded(webui, sentences(source, destination), checkpoint, skip)
    return published_map(*insertion(found, source, destination, position=4))


def edited_checkpoint(webui, name, context_map, checkpoint="thin"):
    """A checkpoint of the projections W M."""
    state = load_file(checkpoint_of(webui, checkpoint))
    for key, weight in state.items():
        if key.endswith(ALONE):
            state[key] = (weight.double() @ context_map).float().contiguous()
    return new_checkpoint(webui, name, state)


@pytest.fixture(autouse=True)
def thin(webui):
    """Every test begins with the same checkpoint, whatever the one before left loaded."""
    webui.use("thin")


@pytest.fixture(scope="module")
def beforehand(webui):
    """Scene to its picture from a checkpoint that was edited beforehand."""
    webui.use(edited_checkpoint(webui, "edited", formula(webui)))
    drawn = {name: webui.draw(**with_image(webui, scene)) for name, scene in SCENES.items()}
    webui.use("thin")
    return drawn


@pytest.mark.parametrize("scene", SCENES)
def test_an_edit_is_the_checkpoint_edited_beforehand(webui, beforehand, scene):
    plain = webui.draw(**with_image(webui, SCENES[scene]))
    edited = webui.draw(edit=EDIT, **with_image(webui, SCENES[scene]))
    assert edited.away(beforehand[scene]) <= 1
    assert edited.away(plain) > 8
    assert webui.draw(**with_image(webui, SCENES[scene])).away(plain) == 0
    assert webui.state()["hooks"] == 0


def test_clip_skip_edits_in_its_own_space(webui):
    skipped = dict(override_settings={"CLIP_stop_at_last_layers": 2})
    webui.use(edited_checkpoint(webui, "skipped", formula(webui, skip=2)))
    expected = webui.draw(**skipped)
    webui.use("thin")
    assert webui.draw(edit=EDIT, **skipped).away(expected) <= 1


@pytest.mark.parametrize("kind", ["sd2", "sdxl"])
def test_other_families(webui, kind):
    if webui.kind != "A1111":
        pytest.skip("Forge and its successors know SD 2.x and SDXL at their full size alone")
    from edit_assumption.editing.edit_file import load_edit

    with_loras = applies_loras(webui)
    write_checkpoint(checkpoint_of(webui, kind), kind)
    webui.post("/sdapi/v1/refresh-checkpoints").raise_for_status()
    webui.use(kind)
    plain = webui.draw()
    pooled = kind == "sdxl"
    asked = {"recipe": RECIPE, "regularizer": "identity", "pooled": pooled, "name": kind, "overwrite": True}
    for path, more in (("save", {}), ("export", {"precision": "float32"})):
        answer = webui.post(f"/edit-assumption/{path}", {**asked, **more})
        assert answer.status_code == 200, answer.text
    edited = webui.draw(edit=[*EDIT, None, None, None, pooled])
    assert edited.away(plain) > 8
    if with_loras:  # else the tests of LoRA are skipped, and say so
        assert webui.draw(f"a field of roses <lora:{kind}:1>").away(edited) <= 1
    assert webui.draw().away(plain) == 0
    edit = load_edit(webui.base / f"models/EditAssumption/{kind}.safetensors")
    state = load_file(checkpoint_of(webui, kind))
    for key in [key for key in state if key.endswith((*ALONE, "label_emb.0.0.weight"))]:
        context_map = edit.pooled_map if "label_emb" in key else edit.context_map
        state[key] = context_map.padded(state[key].shape[1]).apply_to_weight(state[key].float())
    webui.use(new_checkpoint(webui, f"{kind} edited", state, like=kind))
    assert webui.draw().away(edited) <= 1


def test_a_lora_and_an_edit(webui):
    skip_where_loras_do_nothing(webui)
    state = load_file(checkpoint_of(webui, "thin"))
    layers = [key for key in state if key.endswith(ALONE)]
    generator = torch.Generator().manual_seed(5)
    tensors, deltas = {}, {}
    for key in layers:
        up, down = torch.randn(state[key].shape[0], 4, generator=generator), torch.randn(4, 768, generator=generator)
        up *= 0.01
        name = webui_lora_name(key)
        tensors |= {f"{name}.lora_up.weight": up, f"{name}.lora_down.weight": down, f"{name}.alpha": torch.tensor(4.0)}
        deltas[key] = up @ down
    save_lora(webui, "random", tensors)
    prompt = "a field of roses <lora:random:1>"
    plain, with_lora = webui.draw(), webui.draw(prompt)
    assert with_lora.away(plain) > 8
    both = webui.draw(prompt, edit=EDIT)
    assert webui.draw(edit=EDIT).away(both) > 8
    assert webui.draw(prompt).away(with_lora) == 0
    assert webui.draw().away(plain) == 0
    context_map = formula(webui)
    for key in layers:
        state[key] = ((state[key].double() + deltas[key].double()) @ context_map).float().contiguous()
    webui.use(new_checkpoint(webui, "both", state))
    expected = webui.draw()
    webui.use("thin")
    assert both.away(expected) <= 1


def webui_lora_name(key):
    """kohya's, for LDM's numbering."""
    from edit_assumption.editing.projections import find, lora_name

    family, (found,) = find({key: (1, 768)})
    assert re.search("attn2_to_[kv]$", lora_name(found, family))
    return lora_name(found, family)


def test_the_text_encoders_lora_is_part_of_the_space(webui):
    """The built-in Lora changes what the encoder says, so the same recipe is another edit."""
    skip_where_loras_do_nothing(webui)
    state = load_file(checkpoint_of(webui, "thin"))
    key = "cond_stage_model.transformer.text_model.encoder.layers.3.mlp.fc1"
    out, width = state[f"{key}.weight"].shape
    generator = torch.Generator().manual_seed(6)
    name = "lora_te_text_model_encoder_layers_3_mlp_fc1"
    tensors = {
        f"{name}.lora_up.weight": torch.randn(out, 4, generator=generator) * 0.05,
        f"{name}.lora_down.weight": torch.randn(4, width, generator=generator),
        f"{name}.alpha": torch.tensor(4.0),
    }
    save_lora(webui, "text", tensors)
    changed = dict(state)
    delta = tensors[f"{name}.lora_up.weight"] @ tensors[f"{name}.lora_down.weight"]
    changed[f"{key}.weight"] = state[f"{key}.weight"].float() + delta
    new_checkpoint(webui, "merged", changed)
    context_map = formula(webui, checkpoint="merged")
    webui.use(edited_checkpoint(webui, "merged and edited", context_map, "merged"))
    expected = webui.draw()
    webui.use("thin")
    assert webui.draw("a field of roses <lora:text:1>", edit=EDIT).away(expected) <= 1


def test_the_first_picture_after_an_error_is_the_original(webui):
    plain, before = webui.draw(), webui.state()
    with pytest.raises(Refused, match="failed as told"):
        webui.draw("a field of roses FAIL NOW", edit=EDIT)
    assert webui.state()["hooks"] == 0
    assert webui.draw().away(plain) == 0
    assert webui.state()["weights"] == before["weights"]


def test_the_first_picture_after_an_interrupt_is_the_original(webui):
    plain = webui.draw()
    waiting = threading.Thread(target=lambda: webui.draw(edit=EDIT, steps=150))
    waiting.start()
    deadline = time.monotonic() + 120
    while webui.get("/sdapi/v1/progress").json()["state"]["sampling_step"] < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    pressed = time.monotonic()
    webui.post("/sdapi/v1/interrupt").raise_for_status()
    waiting.join()
    assert time.monotonic() - pressed < 30
    assert webui.state()["hooks"] == 0
    assert webui.draw().away(plain) == 0


def test_models_are_switched_under_an_edit(webui):
    names = {}
    for name in ("thin", "other"):
        names[name] = edited_checkpoint(webui, f"{name} edited", formula(webui, checkpoint=name), name)
    pictures = {}
    for name in ("other", "thin"):
        webui.use(names[name])
        expected = webui.draw()
        pictures[name] = webui.draw(edit=EDIT, override_settings={"sd_model_checkpoint": name})
        assert pictures[name].away(expected) <= 1
    assert pictures["thin"].away(pictures["other"]) > 8
    webui.use("thin")


@pytest.mark.parametrize("second", ["refiner", "hires"])
def test_a_second_checkpoint_in_one_generation_is_edited_too(webui, second):
    if webui.kind == "Forge" and second == "refiner":
        pytest.skip("Forge makes its patches before a sampling begins, and a refiner comes after")
    maps = {name: formula(webui, checkpoint=name) for name in ("thin", "other")}
    both = {name: edited_checkpoint(webui, f"{name} for {second}", maps[name], name) for name in maps}

    more = ALSO[webui.kind]

    def settings(checkpoint):
        if second == "refiner":
            return dict(steps=4, refiner_checkpoint=checkpoint, refiner_switch_at=0.5)
        return (
            dict(enable_hr=True, hr_scale=1, denoising_strength=0.7, hr_upscaler="Latent", hr_checkpoint_name=checkpoint) | more
        )

    webui.use(both["thin"])
    expected = webui.draw(**settings(both["other"]))
    webui.use("thin")
    assert webui.draw(edit=EDIT, **settings("other")).away(expected) <= 1
    assert webui.state()["hooks"] == 0


def test_both_hosts_make_the_same_map(webui, comfy):
    """The edit file of the WebUI against that of ComfyUI from the same text encoder."""
    if webui.kind == "A1111":
        pytest.skip("ComfyUI knows no checkpoint as thin as this A1111's; Forge's is thick enough, and its encoder is the same")
    from edit_assumption.editing.edit_file import load_edit

    answer = webui.post("/edit-assumption/save", {"recipe": RECIPE, "name": "same map", "overwrite": True})
    assert answer.status_code == 200, answer.text
    ours = load_edit(webui.base / "models/EditAssumption/same map.safetensors").context_map.dense()
    folder = comfy.base / "models/checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "webui.safetensors").symlink_to(checkpoint_of(webui, "thin"))
    graph = Pipeline(checkpoint="webui.safetensors")
    node = graph.edit(regularizer="captions")
    save = graph.add("EditAssumptionSaveEdit", edit=node[1], filename_prefix="assumption_edits/same")
    name = text(comfy.run(graph), save).split(" ")[1]
    theirs = load_edit(comfy.base / "output" / name).context_map.dense()
    assert distance(ours, theirs) < 1e-5


def test_the_map_is_the_published_one(webui):
    from edit_assumption.editing.edit_file import load_edit

    body = {"recipe": RECIPE, "regularizer": "identity", "name": "published", "overwrite": True}
    assert webui.post("/edit-assumption/save", body).status_code == 200
    found = load_edit(webui.base / "models/EditAssumption/published.safetensors").context_map.dense()
    assert distance(found.double(), formula(webui)) < 1e-4  # transformers rounds in another order than the WebUI


def test_edits_of_the_panel_and_the_prompt_are_solved_together(webui):
    save_tulips(webui)
    together = webui.draw(edit=[f"{RECIPE}\n{OTHER} @ 0.5"])
    assert webui.draw("a field of roses <edit:tulips:0.5>", edit=[RECIPE]).away(together) == 0
    assert webui.post("/edit-assumption/save", {"recipe": RECIPE, "name": "roses", "overwrite": True}).status_code == 200
    assert webui.draw("a field of roses <edit:Roses><edit:tulips:0.5>").away(together) == 0


def test_an_unknown_name_is_said_and_the_rest_goes_on(webui):
    plain = webui.draw()
    assert webui.draw("a field of roses <edit:nowhere:1>").away(plain) == 0


def test_the_parameters_bring_the_picture_back(webui):
    skip_where_the_api_cannot_paste(webui)
    panel = [f"{RECIPE} @ 0.8\n= a house", 0.9, 0.3, "a cat\n== a dog", "captions", "values", "down, mid", "A view of", False]
    save_tulips(webui)
    first = webui.draw("a field of roses <edit:tulips:0.7>", edit=panel)
    assert first.away(webui.draw()) > 8
    assert webui.again(first).away(first) == 0


def test_the_parameters_bring_back_an_edit_that_is_not_saved_here(webui):
    skip_where_the_api_cannot_paste(webui)
    save_tulips(webui)
    first = webui.draw("a vase of tulips <edit:tulips:0.7>")
    assert webui.delete("/edit-assumption/edits/tulips").status_code == 200
    assert first.away(webui.draw("a vase of tulips")) > 8
    assert webui.again(first).away(first) == 0


def test_parameters_without_an_edit_switch_the_panel_off(webui):
    skip_where_the_api_cannot_paste(webui)
    plain = webui.draw()
    assert webui.again(plain).away(plain) == 0


def save_tulips(webui):
    assert webui.post("/edit-assumption/save", {"recipe": OTHER, "name": "tulips", "overwrite": True}).status_code == 200


def test_a_strength_of_zero_is_off(webui):
    assert webui.draw(edit=[RECIPE, 0.0]).away(webui.draw()) == 0
