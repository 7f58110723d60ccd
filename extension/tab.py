"""The tab: write a recipe, see what it will do, draw before and after, keep it, export it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from html import escape
from typing import Any

import gradio as gr
import torch
from modules import sd_samplers, shared
from modules.call_queue import queue_lock
from PIL import Image

from ..editing.concepts.edit import ConceptEdit
from ..editing.errors import EditError
from ..editing.lines import prompt_lines
from ..editing.recipe import Recipe
from . import store, work
from .panel import DEFAULTS, recipe_inputs, recipe_of
from .solving import Stopped

_PREFIX = "edit_assumption_tab"


def tab() -> gr.Blocks:
    """Built for each load of the page."""
    with gr.Blocks(analytics_enabled=False) as blocks:
        with gr.Row():
            with gr.Column(scale=5):
                recipe = recipe_inputs(_PREFIX)
                with gr.Row():
                    related = _lines("related", "Related prompts", "a field of roses", "ought to follow the edit, one a line")
                    unrelated = _lines("unrelated", "Unrelated prompts", "a cat\na house by the sea", "ought to stay")
                with gr.Row():
                    look = gr.Button("Preview", min_width=90, elem_id=f"{_PREFIX}_preview")
                    draw = gr.Button("Draw before and after", variant="primary", scale=2, elem_id=f"{_PREFIX}_draw")
                    stop = gr.Button("Interrupt", min_width=90, elem_id=f"{_PREFIX}_interrupt")
                sampling = _sampling_inputs()
                name, overwrite, save, export, saved, load, delete = _file_inputs()
            with gr.Column(scale=6):
                status = gr.HTML(elem_id=f"{_PREFIX}_status")
                picture = gr.Image(show_label=False, type="pil", interactive=False, elem_id=f"{_PREFIX}_picture")
                numbers = gr.Textbox(label="In numbers", lines=8, interactive=False, elem_id=f"{_PREFIX}_numbers")

        shown, prompts = [status, picture, numbers], [related, unrelated]
        look.click(_told(_look, 2), [*recipe, *prompts], shown)
        draw.click(_told(_draw, 2), [*recipe, *prompts, *sampling], shown)
        stop.click(lambda: shared.state.interrupt(), [], [])
        save.click(_told(_save, 1), [*recipe, name, overwrite, picture], [status, saved])
        export.click(_told(_export, 0), [*recipe, name, overwrite], [status])
        load.click(_told(_load, len(recipe) + 1), [saved], [status, *recipe, name])
        delete.click(_told(_delete, 1), [saved], [status, saved])
        blocks.load(lambda: _saved_list(), [], [saved])
    return blocks


def _lines(name: str, label: str, value: str, info: str) -> gr.Textbox:
    return gr.Textbox(label=label, value=value, lines=3, info=info, elem_id=f"{_PREFIX}_{name}")


def _sampling_inputs() -> list[Any]:
    """In the order in which :func:`_draw` takes them."""
    names = [sampler.name for sampler in sd_samplers.visible_samplers()]
    place = {name: {"elem_id": f"{_PREFIX}_{name}"} for name in ("seed", "count", "steps", "width", "height", "cfg", "sampler")}
    with gr.Accordion("Sampling", open=False):
        with gr.Row():
            seed = gr.Number(label="Seed (-1: any)", value=1, precision=0, **place["seed"])
            count = gr.Slider(1, 8, value=2, step=1, label="Pictures of each prompt", **place["count"])
            steps = gr.Slider(1, 150, value=20, step=1, label="Steps", **place["steps"])
        with gr.Row():
            width = gr.Slider(64, 2048, value=512, step=8, label="Width", **place["width"])
            height = gr.Slider(64, 2048, value=512, step=8, label="Height", **place["height"])
            cfg = gr.Slider(1, 30, value=7, step=0.5, label="CFG scale", **place["cfg"])
            sampler = gr.Dropdown(names, value=names[0], label="Sampler", **place["sampler"])
    return [seed, count, steps, width, height, cfg, sampler]


def _file_inputs() -> tuple[Any, ...]:
    with gr.Row():
        name = gr.Textbox(label="Name", placeholder="blue roses", scale=4, elem_id=f"{_PREFIX}_name")
        overwrite = gr.Checkbox(label="Overwrite", scale=1, min_width=120, elem_id=f"{_PREFIX}_overwrite")
    with gr.Row():
        save = gr.Button("Save edit", elem_id=f"{_PREFIX}_save")
        export = gr.Button("Export as LoRA", elem_id=f"{_PREFIX}_export")
    with gr.Row():
        saved = gr.Dropdown([], label="Saved edits", scale=4, elem_id=f"{_PREFIX}_saved")
        load = gr.Button("Load", scale=1, min_width=90, elem_id=f"{_PREFIX}_load")
        delete = gr.Button("Delete", scale=1, min_width=90, elem_id=f"{_PREFIX}_delete")
    return name, overwrite, save, export, saved, load, delete


def _told(handler: Callable[..., tuple[Any, ...]], others: int) -> Callable[..., tuple[Any, ...]]:
    """The handler in turn with what is being drawn; what is wrong becomes a sentence in the status.

    Args:
        handler: gives a sentence, and the values of ``others`` components.
        others: left as they are when something is wrong.
    """

    @wraps(handler)
    def answer(*values: Any) -> tuple[Any, ...]:
        try:
            with queue_lock:
                shared.state.begin(job="edit_assumption")
                try:
                    sentence, *rest = handler(*values)
                finally:
                    shared.state.end()
            return f"<p>{escape(sentence)}</p>", *rest
        except (EditError, Stopped) as error:
            return f"<p class='error'>{escape(str(error) or 'Interrupted.')}</p>", *[gr.update() for _ in range(others)]

    return answer


def _read(values: tuple[Any, ...]) -> tuple[Recipe, tuple[Any, ...]]:
    count = len(DEFAULTS)
    return recipe_of(dict(zip(DEFAULTS, values[:count], strict=True))), values[count:]


def _look(*values: Any) -> tuple[Any, ...]:
    from ..pictures.preview import preview_picture

    recipe, (related, unrelated) = _read(values)
    shown = work.look(recipe, prompt_lines(related, "related prompts"), prompt_lines(unrelated, "unrelated prompts"))
    return "What the edit will do, from text alone.", _picture(preview_picture(shown)), shown.text()


def _draw(*values: Any) -> tuple[Any, ...]:
    from ..pictures.grid import Row, before_after_grid

    recipe, (related, unrelated, seed, count, steps, width, height, cfg, sampler) = _read(values)
    groups = {
        "source": [pair.source for pair in recipe.active],
        "related": prompt_lines(related, "related prompts"),
        "unrelated": prompt_lines(unrelated, "unrelated prompts"),
    }
    prompts = {prompt: group for group, members in groups.items() for prompt in members}
    count = int(count)
    before, after = work.draw_pair(
        recipe, list(prompts), count, seed=seed, steps=int(steps), width=int(width), height=int(height), cfg_scale=cfg,
        sampler_name=sampler,
    )  # fmt: skip
    both = [_pixels(images).split(count) for images in (before, after)]
    rows = [Row(prompt, group, *parts) for (prompt, group), *parts in zip(prompts.items(), *both, strict=True)]
    inputs, edit = work.solved(recipe)
    return (
        "Before and after, from the same seeds.",
        _picture(before_after_grid(rows, range(count), "", "")),
        inputs.report(edit),
    )


def _save(*values: Any) -> tuple[Any, ...]:
    recipe, (name, overwrite, picture) = _read(values)
    path = work.save(recipe, name, overwrite, picture)
    return f"Saved. Write <edit:{path.stem}:1> in a prompt to use it.", _saved_list()


def _export(*values: Any) -> tuple[Any, ...]:
    recipe, (name, overwrite) = _read(values)
    path = work.export(recipe, name, overwrite)
    return (f"Exported. Write <lora:{path.stem}:1> in a prompt to use it.",)


def _load(name: str | None) -> tuple[Any, ...]:
    if not name:
        raise EditError("Choose a saved edit first.")
    edit = store.load(name)
    if isinstance(edit, ConceptEdit):
        raise EditError(
            f"“{name}” is an edit of the text encoder and does not fit the recipe; write <edit:{name}:1> in a prompt to use it."
        )
    values = {**DEFAULTS, "recipe": edit.recipe.to_text()}
    return f"Loaded “{name}”.", *[gr.update(value=value) for value in values.values()], gr.update(value=name)


def _delete(name: str | None) -> tuple[Any, ...]:
    if not name:
        raise EditError("Choose a saved edit first.")
    store.delete(name)
    return f"Deleted “{name}”.", _saved_list()


def _saved_list() -> Any:
    names = store.names()
    return gr.update(choices=names, value=names[0] if names else None)


def _picture(figure: Any) -> Image.Image:
    from ..pictures.style import pixels

    return Image.fromarray(pixels(figure).mul(255).round().to(torch.uint8).numpy())


def _pixels(images: list[Image.Image]) -> torch.Tensor:
    """(n, 3, height, width) from -1 to 1."""
    from torchvision.transforms.functional import pil_to_tensor

    return torch.stack([pil_to_tensor(image.convert("RGB")) for image in images]).float() / 127.5 - 1
