"""Edit Conditioning: the edit on what one prompt became."""

from __future__ import annotations

from comfy_api.latest import io, ui

from ..editing.any_edit import AnyEdit
from ..editing.assumptions.prompt_pair import check_strength
from ..editing.wording import percent
from .comfy.edited_text import mapped, with_pooled
from .comfy.schemas import NO_EDIT, edit_input, projections_edit, schema, strength_input
from .comfy.text_beside import check_conditioning


class EditConditioning(io.ComfyNode):
    """CONDITIONING in, edited CONDITIONING out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            node_id="EditAssumptionConditioning",
            display_name="Edit Conditioning",
            description="Puts an edit onto a prompt's conditioning in place of the model, for one prompt alone. Where all keys "
            "and values are edited the picture is the same.",
            search_aliases=["edit prompt embedding", "conditioning edit"],
            inputs=[
                io.Conditioning.Input("conditioning", tooltip="From CLIP Text Encode. It is not changed."),
                edit_input("From Edit Assumption or Load Edit, made for the same CLIP."),
                strength_input("Scales the edit as it was made: 0 is off, 1 is as made."),
            ],
            outputs=[io.Conditioning.Output(display_name="CONDITIONING")],
        )

    @classmethod
    def execute(cls, conditioning: list, strength: float, edit: AnyEdit | None = None) -> io.NodeOutput:
        """Map every token."""
        if check_strength(strength) == 0 or edit is None:
            reason = NO_EDIT if edit is None else "Strength 0."
            return io.NodeOutput(conditioning, ui=ui.PreviewText(f"{reason} The conditioning is unchanged."))
        edit = projections_edit(edit).scale(strength)
        edit.check_fixed()
        changed = [[mapped(edit, rows), with_pooled(edit, details)] for rows, details in conditioning]
        for _, details in conditioning:
            check_conditioning(details)
        moved = sum(float((new - old).float().norm()) for (new, _), (old, _) in zip(changed, conditioning, strict=True))
        total = sum(float(old.float().norm()) for old, _ in conditioning)
        return io.NodeOutput(changed, ui=ui.PreviewText(f"tokens changed by {percent(moved / max(total, 1e-30))}"))


NODES = [EditConditioning]
