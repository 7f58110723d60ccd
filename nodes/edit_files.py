"""Save Edit, Load Edit, Apply Edit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from comfy_api.latest import io, ui
from PIL import Image

from ..editing.any_edit import AnyEdit
from ..editing.assumptions.edit import Edit
from ..editing.assumptions.prompt_pair import check_strength
from ..editing.carried_edits import carried_besides
from ..editing.concepts.concept_edit import ConceptEdit
from ..editing.edit_file import save_edit
from ..editing.errors import EditError
from ..pictures.cover import cover_entry
from .comfy.edited_model import ModelEditor
from .comfy.model_edits import carried_by, order_remark, put_on
from .comfy.paths import EDITS, file_prefix, new_file, saved_edits
from .comfy.placement import AUTOMATIC, Placement
from .comfy.recipe_inputs import place_input
from .comfy.saved_edits import file_state, onto_clip, read_edit, strength_remark
from .comfy.schemas import NO_EDIT, EditType, edit_input, schema, strength_input
from .comfy.text_encoders import text_encoders

_NO_LORA = "for Load Edit. It is no LoRA: Save Edit as LoRA makes one."


class SaveEdit(io.ComfyNode):
    """An edit into a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            node_id="EditAssumptionSaveEdit",
            display_name="Save Edit",
            description="Writes an edit into a small .safetensors file that Load Edit lists: the map, the recipe and what it "
            "was made for.",
            search_aliases=["save assumption", "export edit"],
            is_output_node=True,
            inputs=[
                edit_input("From an editing node or Load Edit.", lazy=True),
                io.String.Input(
                    "filename_prefix",
                    default=f"{EDITS}/edit",
                    tooltip=f"Name of the file in ComfyUI's output folder, in {EDITS} there, which Load Edit lists.",
                ),
                io.Image.Input(
                    "cover",
                    optional=True,
                    lazy=True,
                    tooltip="A picture to keep in the file; ComfyUI shows it where it lists models.",
                ),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
        )

    @classmethod
    def check_lazy_status(cls, filename_prefix: str, **connected: Any) -> list[str]:
        """Refuse a place that cannot be written before the edit is made."""
        file_prefix(filename_prefix, EDITS, cls.hidden)
        return list(connected)

    @classmethod
    def execute(cls, filename_prefix: str, edit: AnyEdit | None = None, cover: torch.Tensor | None = None) -> io.NodeOutput:
        """Write the file."""
        if edit is None:
            return io.NodeOutput(ui=ui.PreviewText(f"{NO_EDIT} Nothing is saved."))
        prefix = file_prefix(filename_prefix, EDITS, cls.hidden)
        texts = {"prompt": cls.hidden.prompt, **(cls.hidden.extra_pnginfo or {})}
        header = {key: json.dumps(value) for key, value in texts.items() if value is not None}
        header |= _cover_of(cover) if cover is not None else {}
        with new_file(prefix) as (path, name):
            save_edit(edit, path, header)
            size = Path(path).stat().st_size / 2**20
        return io.NodeOutput(ui=ui.PreviewText(f"Saved {name} ({size:.1f} MB), {_NO_LORA}"))


def _cover_of(images: torch.Tensor) -> dict[str, str]:
    """The first of (n, height, width, 3) pictures from 0 to 1 as an entry of the header."""
    first = images[0, ..., :3].clamp(0, 1).mul(255).round().to("cpu", torch.uint8).numpy()
    return cover_entry(Image.fromarray(first))


class LoadEdit(io.ComfyNode):
    """A file into an edit."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            node_id="EditAssumptionLoadEdit",
            display_name="Load Edit",
            description="Reads an edit that Save Edit wrote and checks that it is for this text encoder.",
            search_aliases=["load assumption", "import edit"],
            inputs=[
                io.Combo.Input(
                    "edit_name",
                    options=saved_edits(),
                    tooltip=f"A file from models/{EDITS} or output/{EDITS}.",
                ),
                io.Clip.Input("clip", tooltip="The CLIP that your prompts are encoded with; the edit must be made for it."),
            ],
            outputs=[EditType.Output(display_name="EDIT", tooltip="For Apply Edit.")],
        )

    @classmethod
    def validate_inputs(cls, edit_name: str | None = None) -> bool:
        """Any name: a file that is gone is told when the node runs, since the page shows no refusal beside another output."""
        return True

    @classmethod
    def fingerprint_inputs(cls, edit_name: str = "", clip: Any = None) -> str:
        """Run again when the file changed."""
        return file_state(edit_name)

    @classmethod
    def execute(cls, edit_name: str, clip: Any) -> io.NodeOutput:
        """Read and check."""
        edit, remark = read_edit(edit_name, clip)
        return io.NodeOutput(edit, ui=ui.PreviewText("\n".join([edit.recipe.to_text(), *([remark] if remark else [])])))


class ApplyEdit(io.ComfyNode):
    """An edit onto a model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            node_id="EditAssumptionApplyEdit",
            display_name="Apply Edit",
            description="Puts an edit onto a model. With the CLIP connected it is solved together with the edits that the "
            "model carries, from their recipes, so that their order does not matter; without, it is applied in turn. An edit "
            "of concepts goes onto the CLIP.",
            search_aliases=["apply assumption"],
            inputs=[
                io.Model.Input("model", tooltip="The model to edit. It is not changed; the edit is on the output."),
                edit_input("From Load Edit or an editing node."),
                strength_input("Scales the edit as it was made: 0 is off, 1 is as saved."),
                io.Clip.Input(
                    "clip",
                    optional=True,
                    tooltip="The CLIP that the edit was made with, to solve it together with the edits on the model; an "
                    "edit of concepts needs it.",
                ),
                place_input(),
            ],
            outputs=[
                io.Model.Output(display_name="MODEL", tooltip="The model that believes it."),
                io.Clip.Output(display_name="CLIP", tooltip="The CLIP, with the edit where it is one of concepts."),
            ],
        )

    @classmethod
    def execute(
        cls, model: Any, strength: float, edit: AnyEdit | None = None, clip: Any = None, applied_to: str = AUTOMATIC
    ) -> io.NodeOutput:
        """Patch."""
        if check_strength(strength) == 0 or edit is None:
            reason = NO_EDIT if edit is None else "Strength 0."
            return io.NodeOutput(model, clip, ui=ui.PreviewText(f"{reason} The model is unchanged."))
        if isinstance(edit, ConceptEdit):
            return _onto_clip(model, clip, edit, strength)
        if clip is not None:
            return _solved_again(model, clip, edit, strength, applied_to)
        scaled = edit.scale(strength)
        place = Placement.of(model, applied_to).for_recipe(edit.recipe)
        place.check_edit(edit)
        patched = put_on(model, scaled, place.weights, strength=strength)
        carried = carried_besides("model", carried_by(patched), edit.recipe)
        remarks = [*strength_remark(strength), *carried, *order_remark(patched, edit)]
        return io.NodeOutput(patched, clip, ui=ui.PreviewText(place.report(scaled, remarks)))


def _onto_clip(model: Any, clip: Any, edit: ConceptEdit, strength: float) -> io.NodeOutput:
    if clip is None:
        raise EditError("This edit changes the text encoder; connect the CLIP, and encode your prompts with the CLIP output.")
    changed, report = onto_clip(clip, edit, strength, edit.check_encoders(text_encoders(clip)))
    return io.NodeOutput(model, changed, ui=ui.PreviewText(report))


def _solved_again(model: Any, clip: Any, edit: Edit, strength: float, applied_to: str) -> io.NodeOutput:
    """The edit's recipe, solved in this CLIP, together with those on the model."""
    editor = ModelEditor(model, clip, applied_to)
    edit.check_encoder(editor.encoder)
    solved = editor.solve(edit.recipe.scale(strength))
    return io.NodeOutput(solved.model, clip, ui=ui.PreviewText(editor.report(solved)))


NODES = [SaveEdit, LoadEdit, ApplyEdit]
