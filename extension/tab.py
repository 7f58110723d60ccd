"""The tab: write a recipe, see what it will do, draw before and after, keep it, export it."""

from __future__ import annotations

from typing import Any

import gradio as gr
from modules import infotext_utils, sd_samplers, shared

from .panel import fill_preset, presets, recipe_inputs, saved_edits
from .script import PANELS
from .tab_actions import (
    ask,
    delete_saved,
    draw_both,
    export_recipe,
    in_turn,
    load_saved,
    look_at,
    parameters,
    save_recipe,
    saved_lists,
    told,
)

_PREFIX = "edit_assumption_tab"
_BEGIN = f"""(task, dark, ...rest) => {{
    const id = randomId(), output = gradioApp().getElementById("{_PREFIX}_status");
    requestProgress(id, output, null, () => {{}});
    const bar = output.parentNode.querySelector(".progressDiv");
    Object.assign(bar.style, {{position: "relative", top: "0"}});
    return [id, document.body.classList.contains("dark"), ...rest];
}}"""
"""Shows the WebUI's own progress bar, and hands over by which name it asks for progress, and whether the page is dark."""
_REFRESH_CARDS = """() => {{
    for (const tab of ["txt2img", "img2img"]) {{
        gradioApp().getElementById(tab + "_{}_extra_refresh_internal")?.dispatchEvent(new Event("click"));
    }}
}}"""
"""For a page of cards, by its name."""
_PASTE = f"""(text) => {{
    if (!text) return;
    const prompt = gradioApp().querySelector("#txt2img_prompt textarea");
    prompt.value = text.slice(0, text.lastIndexOf("\\nSteps: "));
    updateInput(prompt);
    gradioApp().getElementById("{_PREFIX}_paste").click();
}}"""
"""Pastes as the WebUI does; the prompt beforehand, since Forge Neo's own paste leaves it as it is."""
_SHOW_PANEL = "() => { switch_to_txt2img(); }"


def tab() -> gr.Blocks:
    """Built for each load of the WebUI's pages."""
    with gr.Blocks(analytics_enabled=False) as blocks:
        task, dark = gr.Textbox("", visible=False), gr.Checkbox(False, visible=False)
        cover = gr.State(None)
        with gr.Row():
            with gr.Column(scale=5):
                preset = presets(_PREFIX)
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
        preset.input(fill_preset, [preset], recipe[:1])
        look.click(in_turn(look_at, 2), [*begun, *recipe, *prompts], [status, picture, numbers], **quiet)
        draw.click(in_turn(draw_both, 3), [*begun, *recipe, *prompts, *sampling], [status, picture, numbers, cover], **quiet)
        stop.click(lambda: shared.state.interrupt(), [], [])
        save.click(
            in_turn(save_recipe, len(lists)), [*begun, *recipe, name, overwrite, cover], [status, *lists], **quiet
        ).then(fn=None, _js=_REFRESH_CARDS.format("edits"))  # fmt: skip
        export.click(in_turn(export_recipe, 0), [*begun, *recipe, name, overwrite], [status], **quiet).then(
            fn=None, _js=_REFRESH_CARDS.format("lora")
        )
        load.click(told(load_saved, len(recipe) + 1), [saved], [status, *recipe, name])
        delete.click(told(ask, 2), [saved], [status, sure, question])
        really.click(told(delete_saved, 1 + len(lists)), [saved], [status, sure, *lists]).then(
            fn=None, _js=_REFRESH_CARDS.format("edits")
        )
        keep.click(lambda: gr.update(visible=False), [], [sure])
        saved.input(lambda: gr.update(visible=False), [], [sure])
        _send(to_panel, to_page, recipe, sampling, status)
        blocks.load(lambda: saved_lists(), [], lists)
    return blocks


def _send(to_panel: gr.Button, to_page: gr.Button, recipe: list[Any], sampling: list[Any], status: gr.HTML) -> None:
    """What the two buttons do. To txt2img goes what the WebUI itself pastes, by a button that nobody sees."""
    pasted = gr.Textbox("", visible=False)
    paste = gr.Button("Paste", visible=False, elem_id=f"{_PREFIX}_paste")
    infotext_utils.register_paste_params_button(
        infotext_utils.ParamBinding(paste_button=paste, tabname="txt2img", source_text_component=pasted)
    )
    to_page.click(told(parameters, 1), [*recipe, *sampling], [status, pasted]).then(fn=None, inputs=[pasted], _js=_PASTE)
    if panel := PANELS.get(False):
        fields = [panel.enabled, *panel.inputs]
        to_panel.click(lambda *values: [True, *values], recipe, fields).then(fn=None, _js=_SHOW_PANEL)


def _button(name: str, label: str) -> gr.Button:
    return gr.Button(label, min_width=90, elem_id=f"{_PREFIX}_{name}")


def _lines(name: str, label: str, value: str, info: str) -> gr.Textbox:
    return gr.Textbox(label=label, value=value, lines=3, info=info, elem_id=f"{_PREFIX}_{name}")


def _sampling_inputs() -> list[Any]:
    """In the order in which ``tab_actions`` takes them."""
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
