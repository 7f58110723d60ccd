"""Edits on a ComfyUI MODEL: which it carries, how another is put on, always on a clone."""

from __future__ import annotations

import uuid
from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from ...editing.assumptions.edit import Edit
from ...editing.assumptions.text_inputs import TextInputs
from ...editing.carried_edits import CarriedEdit
from ...editing.errors import EditError, PackedWeightsError
from .chance_draws import ChanceDraws
from .edited_text import EditedText
from .no_checkpoint import allow_checkpoint
from .progress import tell_drawn
from .stored_weights import shapes_of, stored_weight
from .text_wrappers import put_first
from .weight_adapter import ContextMapAdapter

_ATTACHMENT = "edit_assumption"
_SMOOTHED = (
    "The layers that read text in this quantised model scale it first, so no weight does what an edit says; let “applied_to” "
    "be text, or load the model unquantised."
)
_DRAWN_AFTER = "drawn after the model's edits of the text, whatever their order in the graph"


@dataclass(frozen=True)
class AppliedEdit:
    """An edit on a model.

    Args:
        edit: as it is on the model, scaled.
        adapters: the patch of each weight that carries it.
        encoder: what it can be solved again with; None where it cannot.
        strength: what it was scaled by.
        carrier: what carries it in the place of patches: on the text, or where pictures draw it by chance.
    """

    edit: Edit
    adapters: dict[str, ContextMapAdapter]
    encoder: Hashable
    strength: float = 1.0
    carrier: ChanceDraws | EditedText | None = None


def text_inputs(model: Any) -> TextInputs:
    """Where text enters a ``ModelPatcher``.

    Raises:
        UnknownModelError: the table does not know.
        EditError: weights are packed so that they cannot be edited.
    """
    inputs = TextInputs.of_shapes(shapes_of(model, "diffusion_model."), partial(_rows, model))
    if _scales_first(model, inputs):
        raise EditError(_SMOOTHED)
    return replace(inputs, inner=None) if inputs.inner and _scales_first(model, inputs.inner) else inputs


def _scales_first(model: Any, inputs: TextInputs) -> bool:
    """Whether a layer multiplies what it reads, number by number, before its weight does."""
    layers = (model.model.get_submodule(projection.key.removesuffix(".weight")) for projection in inputs.projections)
    return any(getattr(layer, "pre_quant_scale", None) is not None for layer in layers)


def known_text_inputs(model: Any) -> TextInputs | None:
    """The same; None where the table does not know, or weights are packed so that they cannot be edited."""
    try:
        return text_inputs(model)
    except EditError:
        return None


def _rows(model: Any, key: str, every: int) -> torch.Tensor:
    weight = stored_weight(model, key)
    if weight.packed:
        raise PackedWeightsError(
            "This model's weights are packed (GGUF or alike) and cannot be read; load it unquantised or in fp8."
        )
    return weight.rows(every=every)


def edits_on(model: Any) -> tuple[AppliedEdit, ...]:
    """The edits that a model carries, in the order in which they are applied."""
    return model.get_attachment(_ATTACHMENT) or ()


def carried_by(model: Any) -> list[CarriedEdit]:
    """The same, as people are told of them."""
    return [CarriedEdit(entry.edit.recipe, entry.strength) for entry in edits_on(model)]


def order_remark(model: Any, edit: Edit) -> list[str]:
    """Said of an edit by chance on a model that carries an edit of the text: that one is put on once, before the first step."""
    texts = [entry for entry in edits_on(model) if isinstance(entry.carrier, EditedText)]
    return [_DRAWN_AFTER] if edit.chance and texts else []


def joinable(model: Any, recipe: Any, encoder: Hashable) -> AppliedEdit | None:
    """The edit on the model that a further recipe is solved together with.

    It shares settings and text encoder, and nothing but edits was patched onto its weights after it (a LoRA between two
    edits keeps its place).
    """
    ours = {id(adapter) for entry in edits_on(model) for adapter in entry.adapters.values()}
    for entry in edits_on(model):
        if entry.encoder != encoder or not entry.edit.recipe.shares_settings(recipe):
            continue
        lists = [([patch[1] for patch in model.patches.get(key, [])], adapter) for key, adapter in entry.adapters.items()]
        if all(adapter in values and _only_after(values, adapter, ours) for values, adapter in lists):
            return entry
    return None


def _only_after(values: list[Any], adapter: ContextMapAdapter, ours: set[int]) -> bool:
    return all(id(value) in ours for value in values[values.index(adapter) :])


def adapters_for(edit: Edit, inputs: TextInputs) -> dict[str, ContextMapAdapter]:
    """Key to the patch that carries an edit there. Raises :class:`EditError` as :meth:`.TextInputs.maps`."""
    made: dict[int, ContextMapAdapter] = {}
    adapters = {}
    for key, context_map in inputs.maps(edit).items():
        adapters[key] = made.setdefault(id(context_map), ContextMapAdapter(set(), (context_map.left, context_map.right)))
        adapters[key].loaded_keys.add(key)
    return adapters


def put_on(
    model: Any,
    edit: Edit,
    inputs: TextInputs | None,
    encoder: Hashable = None,
    instead_of: AppliedEdit | None = None,
    strength: float = 1.0,
) -> Any:
    """A clone of the model that carries the edit.

    Args:
        model: a ``ModelPatcher``; not changed.
        edit: what to put on.
        inputs: where text enters the model; None puts the edit on the text.
        encoder: key of the text encoder, if the edit may be solved together with later ones.
        instead_of: an edit on the model whose place this one takes.
        strength: what the edit was scaled by, for whoever asks the model.

    Raises:
        EditError: the model reads text of another width, or the recipe names a block that it lacks.
    """
    adapters: dict[str, ContextMapAdapter] = {}
    carrier: ChanceDraws | EditedText | None = None
    if edit.chance:
        if inputs:
            inputs.chosen(edit)  # refuses an edit that is not for this model
        carrier = ChanceDraws(edit, tell_drawn())
    elif inputs:
        adapters = adapters_for(edit, inputs)
    else:
        carrier = EditedText(edit)
    entry = AppliedEdit(edit, adapters, encoder, strength, carrier)
    patched = model.clone()
    entries = tuple(entry if old is instead_of else old for old in edits_on(model))
    if instead_of is None:
        if set(patched.add_patches(adapters)) != set(adapters):
            raise EditError("ComfyUI did not accept the patch on every projection; load the model unquantised.")
        entries = (*entries, entry)
    else:
        _exchange(patched, instead_of, adapters)
    if carrier:
        carrier.put_on(patched, instead_of and instead_of.carrier)
    elif instead_of and instead_of.carrier:
        put_first(patched, {}, instead_of.carrier)
        if not any(other.carrier for other in entries):
            allow_checkpoint(patched)
    patched.set_attachments(_ATTACHMENT, entries)
    return patched


def _exchange(patched: Any, old: AppliedEdit, new: dict[str, ContextMapAdapter]) -> None:
    """Put each new patch in the place of the old one for its weight, and take off those without one."""
    for key, adapter in old.adapters.items():
        instead = [new[key]] if key in new else []
        patched.patches[key] = [
            (*patch[:1], value, *patch[2:])
            for patch in patched.patches[key]
            for value in (instead if patch[1] is adapter else [patch[1]])
        ]
    patched.patches = {key: patches for key, patches in patched.patches.items() if patches}
    patched.add_patches({key: adapter for key, adapter in new.items() if key not in old.adapters})
    patched.patches_uuid = uuid.uuid4()
