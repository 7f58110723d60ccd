"""What is drawn to compare a WebUI with an edit against one whose checkpoint was edited beforehand."""

import base64
import io

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from webui_server import NAME

SAME_MODULES = {"hr_additional_modules": ["Use same choices"]}  # Forge and its successors ask for it where there is hires fix
ALSO = {"A1111": {}, "Forge": SAME_MODULES, "Forge Neo": {**SAME_MODULES, "hr_upscaler": "None"}, "reForge": {}}
LONG = "a field of roses under a wide evening sky, seen from far away by a lonely wanderer, " * 6
SCENES = {
    "two chunks": dict(prompt=LONG),
    "weighted": dict(prompt="a field of (roses:1.3) and [tulips]"),
    "batch of four": dict(batch_size=4),
    "prompt editing": dict(prompt="a [cat:field of roses:0.5] in the rain"),
    "AND": dict(prompt="a field of roses AND a blue sky"),
    "hires fix": dict(enable_hr=True, hr_scale=2, denoising_strength=0.7, hr_upscaler="Latent"),
    "image to image": dict(to="img2img"),
    "no guidance": dict(cfg_scale=1),
}


def checkpoint_of(webui, name):
    return webui.base / f"models/Stable-diffusion/{name}.safetensors"


def new_checkpoint(webui, name, state, like="thin"):
    """A file of its own, with the configuration of another."""
    save_file(state, checkpoint_of(webui, name))
    config = checkpoint_of(webui, like).with_suffix(".yaml").read_text()
    checkpoint_of(webui, name).with_suffix(".yaml").write_text(config)
    webui.post("/sdapi/v1/refresh-checkpoints").raise_for_status()
    return name


def tokenizer_folder(webui):
    places = ("openai/clip-vit-large-patch14", "backend/huggingface/runwayml/stable-diffusion-v1-5/tokenizer")
    return next(webui.folder / place for place in places if (webui.folder / place).is_dir())


def with_image(webui, scene):
    if scene.get("to") != "img2img":
        return {**scene, **ALSO[webui.kind]} if scene.get("enable_hr") else scene
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((64, 64)).convert("RGB").save(buffer, "PNG")
    return {**scene, "init_images": [base64.b64encode(buffer.getvalue()).decode()], "denoising_strength": 0.75}


def skip_where_the_api_cannot_paste(webui):
    if webui.kind.startswith("Forge"):
        pytest.skip("its API fails on any infotext (“isinstance() argument 2 …”), as Forge's does; the page is tested instead")


def save_lora(webui, name, tensors):
    """A LoRA file among the WebUI's own."""
    folder = webui.base / "models/Lora"
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / f"{name}.safetensors")
    webui.post("/sdapi/v1/refresh-loras").raise_for_status()


def applies_loras(webui):
    """Whether the WebUI itself does, which is not for this project to test: one that is not ours is tried, once, on SD 1.x."""
    if webui.applies_loras is None:
        layer = "lora_te_text_model_encoder_layers_5_mlp_fc2"
        tensors = {"lora_up.weight": torch.ones(768, 1), "lora_down.weight": torch.ones(1, 3072), "alpha": torch.tensor(1.0)}
        save_lora(webui, "tried", {f"{layer}.{name}": tensor for name, tensor in tensors.items()})
        webui.applies_loras = webui.draw("a field of roses <lora:tried:1>").away(webui.draw()) > 0
    return webui.applies_loras


def skip_where_loras_do_nothing(webui):
    if not applies_loras(webui):
        said = [line for line in webui.log.read_text(errors="replace").splitlines() if "Network tried" in line]
        pytest.skip(f"this {webui.kind} applies no LoRA, not even a plain one; it says: {said[:1]}")


def plotted(webui, axis, values, listed, panel):
    """The cells of a plot over one of our axes."""
    info = webui.get("/sdapi/v1/script-info").json()
    plot = next(entry for entry in info if entry["name"] == "x/y/z plot" and not entry["is_img2img"])
    titles = plot["args"][0]["choices"]
    nothing = [titles.index("Nothing"), "", []]
    no_legend, lone_pictures, others = False, True, [False, False, False, False, False, 0, False]
    arguments = [
        titles.index(f"[Edit Assumption] {axis}"),
        values,
        listed,
        *nothing,
        *nothing,
        no_legend,
        lone_pictures,
        *others,
    ]
    arguments += [entry["value"] for entry in plot["args"][len(arguments) :]]  # Forge Neo has one more
    return webui.draw_all(
        script_name="x/y/z plot", script_args=arguments[: len(plot["args"])], alwayson_scripts={NAME: {"args": panel}}
    )


def shows(cells, drawn, within=0):
    return any(cell.shape == drawn.levels[0].shape and abs(cell - drawn.levels[0]).max() <= within for cell in cells)
