"""A recipe onto a model: what every node that makes an edit does."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from comfy_api.latest import io, ui

from ..editing.edit import make_edit
from ..editing.recipe import Recipe
from ..editing.report import describe
from .applied import TextInputs, checked, joinable, put_on
from .encoder import ComfyEncoder
from .host import EditType, stop_if_interrupted
from .moments import moment_of


def model_and_clip() -> list[io.Input]:
    """The inputs that every such node begins with."""
    return [
        io.Model.Input("model", tooltip="The model to edit. It is not changed; the edit is on the output."),
        io.Clip.Input(
            "clip",
            tooltip="The CLIP that your prompts are encoded with, after CLIP Set Last Layer and LoRA if you use them: "
            "the edit is made in its space.",
        ),
    ]


def model_and_edit() -> list[io.Output]:
    """The outputs that every such node has."""
    return [
        io.Model.Output(display_name="MODEL", tooltip="The model that believes it."),
        EditType.Output(
            display_name="EDIT",
            tooltip="The edit itself, for Save Edit, Apply Edit, Preview Edit and Save Edit as LoRA. Together with the edits "
            "on the incoming model where they were solved together.",
        ),
    ]


def edited(model: Any, clip: Any, recipe: Recipe, remarks: Iterable[str] = ()) -> io.NodeOutput:
    """Solve, patch a clone of the model, and report; together with the edits on the model where they can be.

    Raises:
        EditError: the model is of no known family, the CLIP does not fit it, or the edit cannot be solved.
    """
    if not recipe.active:
        return io.NodeOutput(model, None, ui=ui.PreviewText("Strength 0: the model is unchanged."))
    inputs = TextInputs.of(model)
    encoder = ComfyEncoder(clip)
    encode = checked(encoder, inputs.family)
    partner = joinable(model, recipe, encoder.key)
    if partner:
        recipe = partner.edit.recipe.merge(recipe)
    begin = time.perf_counter()
    encoded = encode(recipe.prompts())
    stop_if_interrupted()
    read, fresh = time.perf_counter(), encoder.encoded
    moment = moment_of(encoder, inputs.family.name) if recipe.regularizer == "captions" else None
    solving = time.perf_counter()
    edit = make_edit(recipe, lambda _: encoded, moment=moment)
    patched, chosen = put_on(model, edit, inputs, encoder.key, instead_of=partner)
    change = inputs.change_by(edit, chosen)
    done = time.perf_counter()
    times = (
        f"{fresh} of {len(recipe.prompts())} prompts encoded in {read - begin:.2f} s, "
        f"ordinary captions looked up in {solving - read:.2f} s, the rest in {done - solving:.2f} s"
    )
    return io.NodeOutput(patched, edit, ui=ui.PreviewText(describe(edit, chosen, change, [*remarks, times])))
