"""The node that the pack is named after."""

from __future__ import annotations

import time
from typing import Any

from comfy_api.latest import io, ui

from ..editing.edit import make_edit
from ..editing.recipe import (
    DEFAULT_AUGMENTATIONS,
    DEFAULT_REGULARIZATION,
    PROJECTION_CHOICES,
    REGULARIZERS,
    Recipe,
    recipe_from_lines,
)
from ..editing.report import describe
from .applied import TextInputs, checked, joinable, put_on
from .encoder import ComfyEncoder
from .host import EditType, advanced, schema, stop_if_interrupted, strength_input
from .moments import moment_of


class EditAssumption(io.ComfyNode):
    """Source and destination in, edited model out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            node_id="EditAssumption",
            display_name="Edit Assumption",
            description="Changes what the model takes for granted: wherever it would think of the source, it thinks of the "
            "destination. Takes well under a second beside encoding the prompts, trains nothing, writes to no file.",
            search_aliases=[
                "erase concept",
                "change default",
                "debias",
                "concept slider",
                "TIME",
                "model editing",
                "UCE",
                "forget",
            ],
            inputs=[
                io.Model.Input("model", tooltip="The model to edit. It is not changed; the edit is on the output."),
                io.Clip.Input(
                    "clip",
                    tooltip="The CLIP that your prompts are encoded with, after CLIP Set Last Layer and LoRA if you use them: "
                    "the edit is made in its space.",
                ),
                io.String.Input(
                    "source",
                    multiline=True,
                    dynamic_prompts=False,
                    default="a pack of roses",
                    tooltip="A prompt for which the model assumes something. One prompt per line for several edits that are "
                    "solved together.",
                ),
                io.String.Input(
                    "destination",
                    multiline=True,
                    dynamic_prompts=False,
                    default="a pack of blue roses",
                    tooltip="What the source should mean from now on, one line for each source line. Leave it empty to forget "
                    "the source.",
                ),
                strength_input("0 is off, 1 is full. Negative pushes the source away from the destination."),
                advanced(
                    io.Float.Input(
                        "regularization",
                        default=DEFAULT_REGULARIZATION,
                        min=0.001,
                        max=1000.0,
                        step=0.01,
                        round=0.001,
                        tooltip="How strongly everything else is held in place. Lower: more thorough, and reaches further. "
                        "Higher: gentler.",
                    )
                ),
                advanced(
                    io.String.Input(
                        "augmentations",
                        multiline=True,
                        dynamic_prompts=False,
                        default="\n".join(DEFAULT_AUGMENTATIONS),
                        tooltip="Sentences in which the edit is repeated, one per line; {} marks the place of the prompt, "
                        "else it goes to the end. May be empty.",
                    )
                ),
                advanced(
                    io.Combo.Input(
                        "projections",
                        options=list(PROJECTION_CHOICES),
                        default=PROJECTION_CHOICES[0],
                        tooltip="Which text projections of the cross-attention layers are edited.",
                    )
                ),
                advanced(
                    io.String.Input(
                        "blocks",
                        default="",
                        optional=True,
                        tooltip="Limit the edit to some blocks, separated by commas: down, mid, up, or a block's own name "
                        "such as output_blocks.4. Empty means all.",
                    )
                ),
                advanced(
                    io.String.Input(
                        "preserve",
                        multiline=True,
                        dynamic_prompts=False,
                        default="",
                        optional=True,
                        tooltip="Prompts whose meaning must not change, one per line, such as: a pack of tulips",
                    )
                ),
                advanced(
                    io.Combo.Input(
                        "regularizer",
                        options=list(REGULARIZERS),
                        default=REGULARIZERS[0],
                        optional=True,
                        tooltip="What is held in place. captions: what ordinary captions say, read once for each CLIP. "
                        "identity: everything alike, as in TIME's paper; unrelated prompts change more.",
                    )
                ),
            ],
            outputs=[
                io.Model.Output(display_name="MODEL", tooltip="The model that believes it."),
                EditType.Output(
                    display_name="EDIT",
                    tooltip="The edit itself, for Save Edit, Apply Edit and Save Edit as LoRA. Together with the edits on the "
                    "incoming model where they were solved together.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, source: str | None = None) -> bool | str:
        """Refuse an empty source before the graph runs; None, a text from another node, is checked when it is there."""
        if source is not None and not source.strip():
            return "The source is empty; write the prompt whose assumption you want to change."
        return True

    @classmethod
    def execute(
        cls,
        model: Any,
        clip: Any,
        source: str,
        destination: str,
        strength: float,
        regularization: float,
        augmentations: str,
        projections: str,
        blocks: str = "",
        preserve: str = "",
        regularizer: str = REGULARIZERS[0],
    ) -> io.NodeOutput:
        """Solve and patch."""
        recipe = recipe_from_lines(
            source,
            destination,
            strength,
            augmentations=augmentations.splitlines(),
            regularization=regularization,
            projections=projections,
            regularizer=regularizer,
            blocks=tuple(blocks.split(",")),
            preserve=tuple(preserve.splitlines()),
        )
        if not recipe.active:
            return io.NodeOutput(model, None, ui=ui.PreviewText("Strength 0: the model is unchanged."))
        return _edited(model, clip, recipe)


def _edited(model: Any, clip: Any, recipe: Recipe) -> io.NodeOutput:
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
    remarks = [
        f"{fresh} of {len(recipe.prompts())} prompts encoded in {read - begin:.2f} s, "
        f"ordinary captions looked up in {solving - read:.2f} s, the rest in {done - solving:.2f} s"
    ]
    return io.NodeOutput(patched, edit, ui=ui.PreviewText(describe(edit, chosen, change, remarks)))


NODES = [EditAssumption]
