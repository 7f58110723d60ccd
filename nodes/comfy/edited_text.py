"""An edit on the text that a ComfyUI MODEL reads: every prompt is mapped once, when sampling begins.

M c is what W M makes of c wherever text enters through a linear layer, and right as well where a norm stands before that layer,
or layers that run once before the first step. Nothing is patched.
"""

from __future__ import annotations

from typing import Any

import torch
from comfy.patcher_extension import WrappersMP

from ...editing.assumptions.behind_norm import mapped_behind
from ...editing.assumptions.edit import Edit
from ...editing.errors import EditError
from .no_checkpoint import BY_TEXT, refuse_checkpoint
from .text_beside import check_conditioning
from .text_wrappers import put_first


class EditedText:
    """One edit, on all prompts of a sampling.

    Args:
        edit: with its map.
    """

    def __init__(self, edit: Edit) -> None:
        edit.check_fixed()
        self.edit = edit

    def put_on(self, model: Any, instead_of: Any = None) -> None:
        """Onto a clone of a ``ModelPatcher``; see :func:`~.text_wrappers.put_first`."""
        put_first(model, {WrappersMP.OUTER_SAMPLE: self.outer_sample}, instead_of)
        refuse_checkpoint(model, BY_TEXT)

    def outer_sample(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """Map what each conditioning holds, then sample."""
        guider = executor.class_obj
        guider.conds = {name: [self._mapped(part) for part in parts or ()] for name, parts in guider.conds.items()}
        return executor(*args, **kwargs)

    def _mapped(self, part: dict[str, Any]) -> dict[str, Any]:
        check_conditioning(part)
        part = with_pooled(self.edit, part)
        if part.get("cross_attn") is not None:
            part["cross_attn"] = mapped(self.edit, part["cross_attn"])
        return part


def mapped(edit: Edit, rows: torch.Tensor) -> torch.Tensor:
    """M c for every row of a conditioning. Raises :class:`EditError` for rows of another width."""
    context_map = edit.context_map
    if edit.layers:
        raise EditError(
            f"This edit is one of what {edit.layers}’s own layers make of a prompt; put it on the MODEL with Apply Edit."
        )
    if rows.shape[-1] != context_map.width:
        raise EditError(
            f"The conditioning has {rows.shape[-1]} numbers a token, but the edit was made for {context_map.width}; make the "
            "edit with the CLIP that the prompt is encoded with."
        )
    return mapped_behind(rows, edit.norms, context_map.to(rows.device).apply)


def with_pooled(edit: Edit, details: dict[str, Any]) -> dict[str, Any]:
    """A copy of what a conditioning holds beside its rows, with the pooled embedding mapped where the edit has a map for it."""
    pooled = details.get("pooled_output")
    if edit.pooled_map is None or pooled is None or pooled.shape[-1] != edit.pooled_map.width:
        return dict(details)
    return {**details, "pooled_output": edit.pooled_map.to(pooled.device).apply(pooled)}
