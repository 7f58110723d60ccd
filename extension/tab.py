"""The tab: write a recipe, see what it will do, draw before and after, keep it, export it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from html import escape
from typing import Any

import gradio as gr
import torch
from modules import infotext_utils, sd_samplers, shared
from PIL import Image

from ..editing.errors import EditError
from ..editing.lines import prompt_lines
from ..editing.recipe import Recipe
from . import store, work
from .jobs import Stopped, job
from .panel import DEFAULTS, recipe_inputs, recipe_of, saved_edits, saved_list, values_of
from .script import PANELS

_PREFIX = "edit_assumption_tab"
_BEGIN = f"""(task, dark, ...rest) => {{
    const id = randomId(), output = gradioApp().getElementById("{_PREFIX}_status");
    requestProgress(id, output, null, () => {{}});
    const bar = output.parentNode.querySelector(".progressDiv");
    Object.assign(bar.style, {{position: "relative", top: "0"}});
    return [id, document.body.classList.contains("dark"), ...rest];
}}"""
"""Shows the WebUI's own progress bar, and hands over by which name it asks for progress, and whether the page is dark."""
_REFRESH_CARDS = """() => {
    for (const tab of ["txt2img", "img2img"]) {
        gradioApp().getElementById(tab + "_edits_extra_refresh_internal")?.dispatchEvent(new Event("click"));
    }
}"""
_PASTE = f"(text) => {{ if (text) gradioApp().getElementById('{_PREFIX}_paste').click(); }}"
_SHOW_PANEL = "() => { switch_to_txt2img(); }"
_ERROR = (
    "margin: 0; padding: 0.5em 0.8em; border: 1px solid var(--error-border-color); border-radius: 6px; "
    "color: var(--error-text-color); background: var(--error-background-fill);"
)


def tab() -> gr.Blocks:
    """Built for each load of the WebUI's pages."""
    with gr.Blocks(analytics_enabled=False) as blocks:
        task, dark = gr.Textbox("", visible=False), gr.Checkbox(False, visible=False)
        cover, parameters = gr.State(None), gr.Textbox("", visible=False)
        with gr.Row():
            with gr.Column(scale=5):
                recipe = recipe_inputs(_PREFIX)
                with gr.Row():
                    related = _lines("related", "Related prompts", "a field of roses", "ought to follow the edit, one a line")
                    unrelated = _lines("unrelated", "Unrelated prompts", "a cat\na house by the sea", "ought to stay")
                with gr.Row():
                    look = _button("preview", "Preview")
                    draw = gr.Button("Draw before and after", variant="primary", scale=2, elem_id=f"{_PREFIX}_draw")
                    stop = _button("interrupt", "Interrupt")
                sampling = _sampling_inputs()
                with gr.Row():
                    to_panel, to_page = _button("to_panel", "Send to panel"), _button("to_page", "Send to txt2img")
                    paste = gr.Button("Paste", visible=False, elem_id=f"{_PREFIX}_paste")
                name, overwrite, save, export, saved, load, delete = _file_inputs()
                with gr.Row(visible=False, elem_id=f"{_PREFIX}_sure") as sure:
                    question = gr.HTML()
                    really, keep = _button("really", "Delete it"), _button("keep", "Keep it")
            with gr.Column(scale=6):
                status = gr.HTML(elem_id=f"{_PREFIX}_status")
                picture = gr.Image(show_label=False, type="pil", interactive=False, elem_id=f"{_PREFIX}_picture")
                numbers = gr.Textbox(label="In numbers", lines=8, interactive=False, elem_id=f"{_PREFIX}_numbers")

        prompts, begun, quiet = [related, unrelated], [task, dark], {"_js": _BEGIN, "show_progress": "hidden"}
        lists = [saved, *(panel.saved for panel in PANELS.values())]
        look.click(_in_turn(_look, 2), [*begun, *recipe, *prompts], [status, picture, numbers], **quiet)
        draw.click(_in_turn(_draw, 3), [*begun, *recipe, *prompts, *sampling], [status, picture, numbers, cover], **quiet)
        stop.click(lambda: shared.state.interrupt(), [], [])
        save.click(
            _in_turn(_save, len(lists)), [*begun, *recipe, name, overwrite, cover], [status, *lists], **quiet
        ).then(fn=None, _js=_REFRESH_CARDS)  # fmt: skip
        export.click(_in_turn(_export, 0), [*begun, *recipe, name, overwrite], [status], **quiet)
        load.click(_told(_load, len(recipe) + 1), [saved], [status, *recipe, name])
        delete.click(_told(_ask, 2), [saved], [status, sure, question])
        keep.click(lambda: gr.update(visible=False), [], [sure])
        really.click(_told(_delete, 1 + len(lists)), [saved], [status, sure, *lists]).then(fn=None, _js=_REFRESH_CARDS)
        saved.change(lambda: gr.update(visible=False), [], [sure])
        to_page.click(_told(_parameters, 1), [*recipe, *sampling], [status, parameters]).then(
            fn=None, inputs=[parameters], _js=_PASTE
        )
        infotext_utils.register_paste_params_button(
            infotext_utils.ParamBinding(paste_button=paste, tabname="txt2img", source_text_component=parameters)
        )
        if panel := PANELS.get(False):
            to_panel.click(lambda *values: [True, *values], recipe, [panel.enabled, *panel.inputs]).then(
                fn=None, _js=_SHOW_PANEL
            )
        blocks.load(lambda: _saved_lists(), [], lists)
    return blocks


def _button(name: str, label: str) -> gr.Button:
    return gr.Button(label, min_width=90, elem_id=f"{_PREFIX}_{name}")


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
        saved = saved_edits(_PREFIX)
        load = gr.Button("Load", scale=1, min_width=90, elem_id=f"{_PREFIX}_load")
        delete = gr.Button("Delete", scale=1, min_width=90, elem_id=f"{_PREFIX}_delete")
    return name, overwrite, save, export, saved, load, delete


def _told(handler: Callable[..., tuple[Any, ...]], others: int) -> Callable[..., tuple[Any, ...]]:
    """The handler; what is wrong becomes a sentence in the status.

    Args:
        handler: gives a sentence, and the values of ``others`` components.
        others: left as they are when something is wrong.
    """

    @wraps(handler)
    def answer(*values: Any) -> tuple[Any, ...]:
        try:
            sentence, *rest = handler(*values)
        except (EditError, Stopped) as error:
            return f"<div class='error' style='{_ERROR}'>{escape(str(error))}</div>", *[gr.update() for _ in range(others)]
        return f"<p>{escape(sentence)}</p>" if sentence else "", *rest

    return answer


def _in_turn(handler: Callable[..., tuple[Any, ...]], others: int) -> Callable[..., tuple[Any, ...]]:
    """As :func:`_told`, after what is being drawn, and with the WebUI's progress bar.

    Args:
        handler: its first value is whether the page is dark.
        others: as for :func:`_told`.
    """

    def in_turn(task: str, *values: Any) -> tuple[Any, ...]:
        with job(task):
            return handler(*values)

    return _told(in_turn, others)


def _read(values: tuple[Any, ...]) -> tuple[Recipe, tuple[Any, ...]]:
    count = len(DEFAULTS)
    return recipe_of(dict(zip(DEFAULTS, values[:count], strict=True))), values[count:]


def _look(dark: bool, *values: Any) -> tuple[Any, ...]:
    from ..pictures.preview import preview_picture

    recipe, (related, unrelated) = _read(values)
    shown = work.look(recipe, prompt_lines(related, "related prompts"), prompt_lines(unrelated, "unrelated prompts"))
    return "What the edit will do, from text alone.", _picture(preview_picture(shown), dark), shown.text()


def _draw(dark: bool, *values: Any) -> tuple[Any, ...]:
    from ..pictures.grid import Row, before_after_grid

    recipe, (related, unrelated, *sampling) = _read(values)
    recipe.check_active()
    groups = {
        "source": [pair.source for pair in recipe.active],
        "related": prompt_lines(related, "related prompts"),
        "unrelated": prompt_lines(unrelated, "unrelated prompts"),
    }
    prompts = {prompt: group for group, members in groups.items() for prompt in members}
    settings = _sampling(sampling)
    count = settings.pop("count")
    before, after = work.draw_pair(recipe, list(prompts), count, **settings)
    both = [_pixels(images).split(count) for images in (before, after)]
    rows = [Row(prompt, group, *parts) for (prompt, group), *parts in zip(prompts.items(), *both, strict=True)]
    inputs, edit = work.solved(recipe)
    return (
        "Before and after, from the same seeds.",
        _picture(before_after_grid(rows, range(count), "", ""), dark),
        inputs.report(edit),
        (recipe, after[0]),
    )


def _sampling(values: Sequence[Any]) -> dict[str, Any]:
    """What :func:`_sampling_inputs` holds, as ``work.draw_pair`` takes it."""
    seed, count, steps, width, height, cfg, sampler = values
    return {
        "seed": seed, "count": int(count), "steps": int(steps), "width": int(width), "height": int(height), "cfg_scale": cfg,
        "sampler_name": sampler,
    }  # fmt: skip


def _save(_: bool, *values: Any) -> tuple[Any, ...]:
    recipe, (name, overwrite, cover) = _read(values)
    drawn, picture = cover or (None, None)
    path = work.save(recipe, name, overwrite, picture if drawn == recipe else None)
    return f"Saved. Write <edit:{path.stem}:1> in a prompt to use it.", *_saved_lists(path.stem)


def _export(_: bool, *values: Any) -> tuple[Any, ...]:
    recipe, (name, overwrite) = _read(values)
    path = work.export(recipe, name, overwrite)
    return (f"Exported. Write <lora:{path.stem}:1> in a prompt to use it.",)


def _parameters(*values: Any) -> tuple[Any, ...]:
    recipe, sampling = _read(values)
    recipe.check_active()
    settings = _sampling(sampling)
    return "", work.infotext(recipe, recipe.active[0].source, **settings)


def _load(name: str | None) -> tuple[Any, ...]:
    return f"Loaded “{name}”.", *[gr.update(value=value) for value in values_of(name)], gr.update(value=name)


def _ask(name: str | None) -> tuple[Any, ...]:
    if not name:
        raise EditError("Choose a saved edit first.")
    return "", gr.update(visible=True), f"<p>{escape(f'Delete the edit “{name}” for good?')}</p>"


def _delete(name: str | None) -> tuple[Any, ...]:
    if not name:
        raise EditError("Choose a saved edit first.")
    store.delete(name)
    return f"Deleted “{name}”.", gr.update(visible=False), *_saved_lists()


def _saved_lists(chosen: str | None = None) -> list[Any]:
    """Of the tab, where what was saved is chosen, and of the panels."""
    return [saved_list(chosen), *(saved_list() for _ in PANELS)]


def _picture(figure: Any, dark: bool) -> Image.Image:
    from ..pictures.style import darken, pixels

    if dark:
        darken(figure)
    return Image.fromarray(pixels(figure).mul(255).round().to(torch.uint8).numpy())


def _pixels(images: list[Image.Image]) -> torch.Tensor:
    """(n, 3, height, width) from -1 to 1."""
    from torchvision.transforms.functional import pil_to_tensor

    return torch.stack([pil_to_tensor(image.convert("RGB")) for image in images]).float() / 127.5 - 1
