"""An edit on the text that a ComfyUI MODEL reads: every prompt is mapped once, when sampling begins.

M c is what W M makes of c wherever text enters through a linear layer, and right as well where a norm stands before that layer,
or layers that run once before the first step. Nothing is patched.
"""

from __future__ import annotations

from typing import Any

import torch
from comfy.patcher_extension import WrappersMP

from ...editing.assumptions.context_map import ContextMap
from ...editing.assumptions.edit import Edit
from ...editing.errors import EditError
from .no_checkpoint import BY_TEXT, refuse_checkpoint
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
        rows, changed = part.get("cross_attn"), {}
        if rows is not None:
            changed["cross_attn"] = mapped(self.edit.context_map, rows)
        pooled, pooled_map = part.get("pooled_output"), self.edit.pooled_map
        if pooled_map is not None and pooled is not None and pooled.shape[-1] == pooled_map.width:
            changed["pooled_output"] = pooled_map.to(pooled.device).apply(pooled)
        return {**part, **changed}


def mapped(context_map: ContextMap, rows: torch.Tensor) -> torch.Tensor:
    """M c for every row of a conditioning. Raises :class:`EditError` for rows of another width."""
    if rows.shape[-1] != context_map.width:
        raise EditError(
            f"The conditioning has {rows.shape[-1]} numbers a token, but the edit was made for {context_map.width}; make the "
            "edit with the CLIP that the prompt is encoded with."
        )
    return context_map.to(rows.device).apply(rows)
