"""Edit Hook: the edit as HOOKS, bound to a conditioning or scheduled over the sampling steps."""

from __future__ import annotations

from typing import Any

import comfy.hooks
from comfy_api.latest import io, ui

from ..editing.any_edit import AnyEdit
from ..editing.assumptions.edit import Edit
from ..editing.assumptions.prompt_pair import check_strength
from ..editing.errors import EditError
from .comfy.model_edits import adapters_for
from .comfy.placement import Placement
from .comfy.schemas import NO_EDIT, edit_input, projections_edit, schema, strength_input
from .comfy.stored_weights import is_quantised
from .comfy.text_hook import TextHook, reads_text_in_steps

_INSTEAD = "put the edit on the prompt with Edit Conditioning, or on the model with Apply Edit"
_ON_TEXT = "on the text of the prompts that have the hook; no weight changes"
_TWICE = "dynamic VRAM is on: while hooks are used, ComfyUI loads the model a second time"


class EditHook(io.ComfyNode):
    """An edit as HOOKS."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            node_id="EditAssumptionHook",
            display_name="Edit Hook",
            description="An edit as hooks: with Cond Set Props or Cond Pair Set Props it holds for one region's prompt alone, "
            "with hook keyframes for a part of the sampling steps.",
            search_aliases=["schedule edit", "regional edit", "hook", "create hook edit"],
            inputs=[
                io.Model.Input("model", tooltip="The model that will be sampled; the edit is checked against it."),
                edit_input("From an editing node or Load Edit."),
                strength_input("Scales the edit as it was made: 0 is off, 1 is as made."),
                io.Hooks.Input("prev_hooks", optional=True, tooltip="Hooks to add this one to."),
            ],
            outputs=[io.Hooks.Output(display_name="HOOKS", tooltip="For Cond Set Props and its kin, or keyframes.")],
        )

    @classmethod
    def execute(cls, model: Any, strength: float, edit: AnyEdit | None = None, prev_hooks: Any = None) -> io.NodeOutput:
        """Make the hook."""
        says = [NO_EDIT] if edit is None else ["Strength 0: the hook does nothing."] if strength == 0 else []
        hooks = comfy.hooks.HookGroup() if prev_hooks is None else prev_hooks.clone()
        if check_strength(strength) != 0 and edit is not None:
            hook, says = _hook(model, projections_edit(edit), strength)
            hooks.add(hook)
        return io.NodeOutput(hooks, ui=ui.PreviewText("\n".join(says)))


def _hook(model: Any, edit: Edit, strength: float) -> tuple[comfy.hooks.Hook, list[str]]:
    """A hook on weights or on the text, and what it does, for people.

    Raises:
        EditError: neither can hold the edit.
    """
    edit.check_fixed()
    place = Placement.of(model).for_recipe(edit.recipe)
    twice = [_TWICE] if _is_dynamic(model) else []
    if place.by_text and not edit.recipe.pooled and reads_text_in_steps(model):
        place.check_edit(edit)
        _check_loadable(model)
        return TextHook(edit.scale(strength)), [_ON_TEXT, *twice]
    if place.inputs is None or place.inputs.family.once:
        raise EditError(f"No hook can hold this edit of this model, whose text is read before the steps; {_INSTEAD}.")
    adapters = adapters_for(edit, place.inputs.for_edit(edit))
    check_hooks(model)
    hook = comfy.hooks.WeightHook(strength_model=strength, strength_clip=0.0)
    hook.need_weight_init = False
    hook.weights, hook.weights_clip = adapters, {}
    return hook, [f"{len(adapters)} projections while the hook is on", *twice]


def check_hooks(model: Any) -> None:
    """Raise :class:`EditError` where ComfyUI could not use hooks on weights when it samples the model."""
    if is_quantised(model):
        raise EditError(f"ComfyUI cannot use hooks on a quantised model; {_INSTEAD}.")
    _check_loadable(model)


def _check_loadable(model: Any) -> None:
    if _is_dynamic(model) and model.cached_patcher_init is None:
        raise EditError(
            "With dynamic VRAM hooks need the model a second time, and this model's loader cannot load it again; start ComfyUI "
            f"with --disable-dynamic-vram, or {_INSTEAD}."
        )


def _is_dynamic(model: Any) -> bool:
    return hasattr(model, "is_dynamic") and model.is_dynamic()


NODES = [EditHook]
