"""Edits on a ComfyUI MODEL: which it carries, how another is put on, always on a clone."""

from __future__ import annotations

import uuid
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import torch

from ...editing import projections as table
from ...editing.assumptions.edit import Edit
from ...editing.assumptions.weight_change import edit_change
from ...editing.carried_edits import CarriedEdit
from ...editing.encoding import Encode
from ...editing.errors import EditError, UnknownModelError
from ...editing.projections import Family, Projection
from .stored_weights import StoredWeight, shapes_of, stored_weight
from .weight_adapter import ContextMapAdapter

_ATTACHMENT = "edit_assumption"
_WAY_OUT = (
    "Or connect no MODEL to the editing node: it makes its EDIT from the CLIP alone, and Edit Conditioning puts that on your "
    "prompts."
)


@dataclass(frozen=True)
class AppliedEdit:
    """An edit on a model.

    Args:
        edit: as it is on the model, scaled.
        adapters: the patch of each weight that carries it.
        encoder: what it can be solved again with; None where it cannot.
        strength: what it was scaled by.
    """

    edit: Edit
    adapters: dict[str, ContextMapAdapter]
    encoder: Hashable
    strength: float = 1.0


@dataclass(frozen=True)
class TextInputs:
    """Where text enters a model.

    Args:
        family: what kind of model it is.
        projections: all of its text projections.
        stored: for each key, the model's own weight without any patch.
    """

    family: Family
    projections: list[Projection]
    stored: dict[str, StoredWeight]

    @classmethod
    def of(cls, model: Any) -> TextInputs:
        """Those of a ``ModelPatcher``. Raises :class:`EditError` where the table does not know."""
        shapes = shapes_of(model, "diffusion_model.")
        try:
            family, projections = table.find({key: shape for key, shape in shapes.items() if key.endswith(".weight")})
        except UnknownModelError as error:
            raise EditError(f"{error} {_WAY_OUT}") from error
        return cls(family, projections, {projection.key: stored_weight(model, projection.key) for projection in projections})

    @property
    def packed(self) -> bool:
        """Whether a weight is stored in a form that only its loader can read, such as GGUF's."""
        return any(weight.packed for weight in self.stored.values())

    def weights(self, chosen: list[Projection], every: int = 1) -> dict[str, torch.Tensor]:
        """Key to weight, (out, width) in float32 on the CPU; of each, one row in ``every``.

        Raises:
            EditError: they are packed.
        """
        if self.packed:
            raise EditError(
                "This model's weights are packed (GGUF or alike) and cannot be read; load it unquantised or in fp8."
            )
        return {projection.key: self.stored[projection.key].rows(every=every) for projection in chosen}

    def change_by(self, edit: Edit, chosen: list[Projection]) -> dict[str, float]:
        """Relative change of the model's own keys and values, read off every eighth row: within a percent of it.

        Empty where the weights are packed.
        """
        if self.packed:
            return {}
        return edit_change(edit, chosen, self.weights(chosen, every=8))


def check_width(family: Family, width: int) -> None:
    """Raise :class:`EditError` unless text of this width is what the model reads."""
    if width != family.width:
        raise EditError(
            f"The CLIP gives {width} numbers a token, but this {family.name} model reads {family.width}; "
            "connect the CLIP of the same checkpoint."
        )


def edits_on(model: Any) -> tuple[AppliedEdit, ...]:
    """The edits that a model carries, in the order in which they are applied."""
    return model.get_attachment(_ATTACHMENT) or ()


def carried_by(model: Any) -> list[CarriedEdit]:
    """The same, as people are told of them."""
    return [CarriedEdit(entry.edit.recipe, entry.strength) for entry in edits_on(model)]


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


def adapters_for(edit: Edit, inputs: TextInputs) -> tuple[dict[str, ContextMapAdapter], list[Projection]]:
    """Key to the patch that carries an edit there, and the projections that it is for.

    Raises:
        EditError: as :func:`put_on` does.
    """
    check_width(inputs.family, edit.context_map.width)
    chosen = edit.chosen(inputs.projections)
    widths = {projection.key: inputs.stored[projection.key].tensor.shape[1] for projection in chosen}
    made: dict[int, ContextMapAdapter] = {}
    found = {}
    for key, context_map in edit.maps(chosen, widths).items():
        found[key] = made.setdefault(id(context_map), ContextMapAdapter(set(), (context_map.left, context_map.right)))
        found[key].loaded_keys.add(key)
    return found, chosen


def put_on(
    model: Any,
    edit: Edit,
    inputs: TextInputs,
    encoder: Hashable = None,
    instead_of: AppliedEdit | None = None,
    strength: float = 1.0,
) -> tuple[Any, list[Projection]]:
    """A clone of the model that carries the edit.

    Args:
        model: a ``ModelPatcher``; not changed.
        edit: what to put on.
        inputs: where text enters the model.
        encoder: key of the text encoder, if the edit may be solved together with later ones.
        instead_of: an edit on the model whose place this one takes.
        strength: what the edit was scaled by, for whoever asks the model.

    Returns:
        The clone, and the projections that were patched.

    Raises:
        EditError: the model reads text of another width, or the recipe names a block that it lacks.
    """
    adapters, chosen = adapters_for(edit, inputs)
    entry = AppliedEdit(edit, adapters, encoder, strength)
    patched = model.clone()
    if instead_of is None:
        if set(patched.add_patches(adapters)) != set(adapters):
            raise EditError("ComfyUI did not accept the patch on every projection; load the model unquantised.")
        entries = (*edits_on(model), entry)
    else:
        for key, adapter in adapters.items():
            old = instead_of.adapters[key]
            patched.patches[key] = [
                (*patch[:1], adapter, *patch[2:]) if patch[1] is old else patch for patch in patched.patches[key]
            ]
        patched.patches_uuid = uuid.uuid4()
        entries = tuple(entry if old is instead_of else old for old in edits_on(model))
    patched.set_attachments(_ATTACHMENT, entries)
    return patched, chosen


def checked(encode: Encode, family: Family) -> Encode:
    """``encode`` that refuses, before anything is aligned, text of a width that the model does not read."""

    def encode_for_family(prompts: Any) -> Any:
        answers = encode(prompts)
        for answer in answers[:1]:
            check_width(family, answer.embeddings.shape[1])
        return answers

    return encode_for_family
