"""An edit as a hook on the text that a model reads: for one prompt alone, for a part of the steps, and no weight changes."""

from __future__ import annotations

from typing import Any

import comfy.hooks
import torch
from comfy.patcher_extension import WrappersMP, merge_nested_dicts

from ...editing.assumptions.edit import Edit
from .edited_text import mapped

_KEY = "edit_assumption"


class TextHook(comfy.hooks.TransformerOptionsHook):
    """Maps the text of the prompts that carry it, where the model is called.

    Args:
        edit: with its map; the host makes a copy without arguments, and fills it.
    """

    def __init__(self, edit: Edit | None = None) -> None:
        super().__init__(transformers_dict={}, hook_scope=comfy.hooks.EnumHookScope.HookedOnly)
        self.edit = edit

    def clone(self) -> TextHook:
        """The host's call."""
        copy: TextHook = super().clone()
        copy.edit = self.edit
        return copy

    def on_apply_hooks(self, model: Any, transformer_options: dict[str, Any]) -> None:
        """The host's call before a batch of prompts with this hook."""
        wrappers = {WrappersMP.APPLY_MODEL: {_KEY: [self.apply_model]}}
        merge_nested_dicts(transformer_options, {"wrappers": wrappers}, copy_dict1=False)

    def apply_model(
        self,
        executor: Any,
        x: torch.Tensor,
        t: torch.Tensor,
        c_concat: torch.Tensor | None = None,
        c_crossattn: torch.Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Map the text, at the strength of this step, then go on."""
        if self.edit and c_crossattn is not None and self.strength:
            c_crossattn = mapped(self.edit.scale(self.strength), c_crossattn)
        return executor(x, t, c_concat, c_crossattn, *args, **kwargs)


def reads_text_in_steps(model: Any) -> bool:
    """Whether a ``ModelPatcher``'s model is handed a prompt's own rows in every step, and no layer of it reads them before."""
    return not hasattr(model.model.diffusion_model, "preprocess_text_embeds")
