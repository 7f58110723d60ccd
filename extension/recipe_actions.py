"""What the tab and the API do with a recipe, apart from how they show it."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from modules import infotext_utils, processing, scripts, shared
from PIL import Image

from ..editing.any_lora import any_lora, write_any_lora
from ..editing.assumptions.edit import Edit
from ..editing.assumptions.edit_preview import preview
from ..editing.assumptions.recipe import Recipe
from ..editing.assumptions.text_inputs import TextInputs
from ..editing.errors import EditError
from ..editing.preview import Preview
from ..pictures.cover import cover_entry
from . import edit_folder
from .generation_request import RECIPE_KEY
from .queue_turns import Stopped, stop_if_unwanted
from .recipe_solver import encoder_of, solve, text_inputs
from .running_host import host
from .script import CHANGED, EditAssumption

PRECISIONS = {"float16": torch.float16, "float32": torch.float32, "bfloat16": torch.bfloat16}


def solved(recipe: Recipe) -> tuple[TextInputs, Edit]:
    """The recipe's edit for the model that is loaded. Raises :class:`EditError` as :func:`~.recipe_solver.solve` does."""
    model = host().loaded_model()
    inputs = text_inputs(model)
    return inputs, solve(model, inputs, recipe)


def look(recipe: Recipe, related: list[str], unrelated: list[str]) -> Preview:
    """The alignment, and the reach on prompts."""
    inputs, edit = solved(recipe)
    return preview(edit, encoder_of(host().loaded_model(), inputs), related, unrelated)


def save(recipe: Recipe, name: str, overwrite: bool, picture: Image.Image | None = None) -> Path:
    """Solve and write an edit file, with a picture for its card where there is one."""
    edit_folder.free_edit(name, overwrite)
    _, edit = solved(recipe)
    return edit_folder.save(edit, name, overwrite, cover_entry(picture) if picture is not None else None)


def export(recipe: Recipe, name: str, overwrite: bool, tolerance: float = 0.0, precision: str = "float16") -> Path:
    """Solve and write a LoRA into the WebUI's own folder, and have it listed there."""
    if precision not in PRECISIONS:
        raise EditError(f"The precision “{precision}” is not known; choose one of {', '.join(PRECISIONS)}.")
    if not 0 <= tolerance <= 0.5:
        raise EditError(f"The tolerance is {tolerance:g}; give a number from 0, which is exact, to 0.5.")
    place = edit_folder.free_lora(name, overwrite)
    inputs, edit = solved(recipe)
    lora = any_lora(edit, lambda: inputs, tolerance, PRECISIONS[precision], lambda count: stop_if_unwanted)
    with edit_folder.file_errors(place):
        write_any_lora(place, edit, *lora)
    networks = sys.modules.get("networks")  # the built-in Lora extension's own module, where it is switched on
    if hasattr(networks, "list_available_networks"):
        networks.list_available_networks()
    return place


def infotext(recipe: Recipe, prompt: str, **sampling: Any) -> str:
    """A picture's parameters as the WebUI pastes them.

    Args:
        recipe: for the panel.
        prompt: what is to be drawn.
        sampling: as :func:`draw_pair` takes it.
    """
    names = {"steps": "Steps", "sampler_name": "Sampler", "cfg_scale": "CFG scale", "seed": "Seed"}
    settings = {name: sampling[key] for key, name in names.items()}
    settings |= {"Size": f"{sampling['width']}x{sampling['height']}", RECIPE_KEY: infotext_utils.quote(recipe.to_text())}
    return f"{prompt}\n" + ", ".join(f"{name}: {value}" for name, value in settings.items())


def draw_pair(recipe: Recipe, prompts: list[str], count: int, **sampling: Any) -> tuple[list[Image.Image], list[Image.Image]]:
    """Pictures without the edit and with it, from the same seeds: for each prompt in turn ``count`` pictures.

    Args:
        recipe: what is asked.
        prompts: what is drawn.
        count: of each prompt, from seeds that follow each other.
        sampling: seed, steps, width, height, cfg_scale, sampler_name, negative_prompt.
    """
    seed = processing.get_fixed_seed(sampling.pop("seed"))
    texts = [prompt for prompt in prompts for _ in range(count)]
    seeds = [int(seed) + number for _ in prompts for number in range(count)]
    ours = next(script for script in scripts.scripts_txt2img.alwayson_scripts if isinstance(script, EditAssumption))
    solved(recipe)  # before anything is drawn, for what may be wrong with it
    both = []
    shared.state.job_count = 2 * len(prompts)
    for changed in ({"enabled": False}, {"enabled": True, "recipe": recipe.to_text()}):
        p = processing.StableDiffusionProcessingTxt2Img(
            sd_model=shared.sd_model, prompt=texts, seed=seeds, n_iter=len(prompts), batch_size=count,
            do_not_save_samples=True, do_not_save_grid=True, **sampling,
        )  # fmt: skip
        setattr(p, CHANGED, changed)
        runner = scripts.ScriptRunner()
        runner.scripts, runner.alwayson_scripts = [ours], [ours]
        p.scripts, p.script_args = runner, (None,) * ours.args_to
        with closing(p):
            drawn = processing.process_images(p)
        images = drawn.images[drawn.index_of_first_image :][: len(texts)]
        if len(images) < len(texts):
            raise Stopped
        both.append(images)
    return both[0], both[1]
