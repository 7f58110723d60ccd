"""Save Edit as LoRA."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from comfy_api.latest import io, ui

from ..editing.any_edit import AnyEdit
from ..editing.any_lora import any_lora, write_any_lora
from ..editing.assumptions.text_inputs import TextInputs
from ..editing.errors import EditError, UnknownModelError
from .comfy.model_edits import text_inputs
from .comfy.paths import file_prefix, new_file
from .comfy.progress import progress
from .comfy.schemas import NO_EDIT, edit_input, schema

_LORAS = "loras"
_PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class SaveEditAsLora(io.ComfyNode):
    """An edit into a LoRA file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            node_id="EditAssumptionSaveLora",
            display_name="Save Edit as LoRA",
            description="Writes an edit as a LoRA file for this model, with kohya's names, which every tool that loads LoRA "
            "understands. An edit of concepts becomes one of the text encoder, and needs no model.",
            search_aliases=["export lora", "edit to lora"],
            is_output_node=True,
            inputs=[
                io.Model.Input(
                    "model",
                    optional=True,
                    lazy=True,
                    tooltip="The model that the LoRA is for. Its own weights are used, without patches.",
                ),
                edit_input("From an editing node or Load Edit.", lazy=True),
                io.String.Input(
                    "filename_prefix",
                    default=f"{_LORAS}/edit",
                    tooltip="Name of the file in ComfyUI's output folder, in loras there, which Load LoRA lists.",
                ),
                io.Float.Input(
                    "tolerance",
                    default=0.0,
                    min=0.0,
                    max=0.5,
                    step=0.001,
                    round=0.0001,
                    tooltip="0 is exact. Above, each layer gets the lowest rank that is this close to its exact update "
                    "(relative; 0.01 is 1 %), for a smaller file.",
                ),
                io.Combo.Input(
                    "precision",
                    options=list(_PRECISIONS),
                    default="float32",
                    tooltip="float16 halves the file.",
                ),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
        )

    @classmethod
    def check_lazy_status(cls, filename_prefix: str, tolerance: float, precision: str, **connected: Any) -> list[str]:
        """Refuse a place that cannot be written before the edit is made."""
        file_prefix(filename_prefix, _LORAS, cls.hidden)
        return list(connected)

    @classmethod
    def execute(
        cls, filename_prefix: str, tolerance: float, precision: str, edit: AnyEdit | None = None, model: Any = None
    ) -> io.NodeOutput:
        """Write the file."""
        if edit is None:
            return io.NodeOutput(ui=ui.PreviewText(f"{NO_EDIT} Nothing is saved."))
        prefix, dtype = file_prefix(filename_prefix, _LORAS, cls.hidden), _PRECISIONS[precision]
        family, tensors = any_lora(edit, partial(_inputs, model), tolerance, dtype, progress)
        with new_file(prefix) as (path, name):
            write_any_lora(path, edit, family, tensors)
            size = Path(path).stat().st_size / 2**20
        ranks = [int(tensor) for key, tensor in tensors.items() if key.endswith(".alpha")]
        spread = f"rank {max(ranks)}" if min(ranks) == max(ranks) else f"ranks {min(ranks)} to {max(ranks)}"
        return io.NodeOutput(ui=ui.PreviewText(f"Saved {name} ({len(ranks)} layers, {spread}, {size:.1f} MB)"))


def _inputs(model: Any) -> TextInputs:
    if model is None:
        raise EditError("This edit changes the model's projections; connect the MODEL that the LoRA is for.")
    try:
        return text_inputs(model)
    except UnknownModelError as error:
        raise EditError(f"{error} Save Edit keeps an edit of any model, and Apply Edit puts it on.") from error


NODES = [SaveEditAsLora]
