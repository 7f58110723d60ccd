"""Edit Stack: several saved edits in one node."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io, ui

from .comfy.paths import EDITS, saved_edits
from .comfy.saved_edits import file_state, put_saved_on
from .comfy.schemas import schema, strength_input

_ROWS = 10
_NONE = "none"


def _row(number: int) -> list[io.Input]:
    """The inputs of a row, optional so that graphs made by programs name the rows that they use."""
    return [
        io.Combo.Input(
            f"edit_{number}",
            options=[_NONE, *saved_edits()],
            default=_NONE,
            optional=True,
            tooltip=f"A saved edit from models/{EDITS} or output/{EDITS}.",
        ),
        strength_input("Scales the edit of this row as it was made: 0 is off, 1 is as saved.", f"strength_{number}", True),
        io.Boolean.Input(f"on_{number}", default=True, optional=True, tooltip="Off leaves the edit of this row out."),
    ]


class EditStack(io.ComfyNode):
    """Rows of saved edits onto a MODEL and a CLIP."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            node_id="EditAssumptionStack",
            display_name="Edit Stack",
            description="Puts up to ten saved edits on, each with a strength and a switch. They are solved together, as in a "
            "chain of Load Edit and Apply Edit. Edits of concepts go onto the CLIP.",
            search_aliases=["stack", "edit stacker", "many saved edits", "multi edit", "lora stack"],
            inputs=[
                io.Model.Input("model", tooltip="The model to edit. It is not changed; the edits are on the output."),
                io.Clip.Input("clip", tooltip="The CLIP that your prompts are encoded with; the edits must be made for it."),
                *(entry for number in range(1, _ROWS + 1) for entry in _row(number)),
            ],
            outputs=[
                io.Model.Output(display_name="MODEL", tooltip="The model that believes it."),
                io.Clip.Output(display_name="CLIP", tooltip="The CLIP, with the edits that are of concepts."),
            ],
        )

    @classmethod
    def validate_inputs(cls, **rows: Any) -> bool:
        """Any name: a file that is gone is told when the node runs, since the page shows no refusal beside another output."""
        return True

    @classmethod
    def fingerprint_inputs(cls, model: Any = None, clip: Any = None, **rows: Any) -> str:
        """Run again when a file changed."""
        return "\n".join(file_state(name) for name, _ in _used(rows))

    @classmethod
    def execute(cls, model: Any, clip: Any, **rows: Any) -> io.NodeOutput:
        """Read, check, solve and patch."""
        model, clip, report = put_saved_on(model, clip, _used(rows))
        return io.NodeOutput(model, clip, ui=ui.PreviewText(report))


def _used(rows: dict[str, Any]) -> list[tuple[str, float]]:
    """File and strength of each row that is on, from top to bottom."""
    chosen = []
    for number in range(1, _ROWS + 1):
        name = rows.get(f"edit_{number}") or _NONE
        if name != _NONE and rows.get(f"on_{number}", True):
            chosen.append((name, rows.get(f"strength_{number}", 1.0)))
    return chosen


NODES = [EditStack]
