"""Schemas that any supported version of ComfyUI loads, and inputs that many nodes have."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from comfy_api.latest import io

from ...editing.any_edit import AnyEdit
from ...editing.assumptions.edit import Edit
from ...editing.assumptions.prompt_pair import STRENGTH_LIMIT
from ...editing.errors import EditError

CATEGORY = "edit assumption"
EditType = io.Custom("ASSUMPTION_EDIT")
_SCHEMA_FIELDS = {entry.name for entry in fields(io.Schema)}


def schema(reports: bool = True, **details: Any) -> io.Schema:
    """An ``io.Schema`` without the fields that the running version does not have yet (``search_aliases`` before 0.12.1).

    Args:
        reports: whether the node says what it did. Versions that can send that again after a run which took the node from
            the cache.
        details: the schema's other fields.
    """
    details["has_intermediate_output"] = reports
    return io.Schema(category=CATEGORY, **{name: value for name, value in details.items() if name in _SCHEMA_FIELDS})


def advanced(entry: io.Input) -> io.Input:
    """The input, shown among the advanced ones by front ends that fold those away."""
    entry.extra_dict = {**(entry.extra_dict or {}), "advanced": True}
    return entry


def strength_input(tooltip: str, name: str = "strength", optional: bool = False) -> io.Input:
    """The strength of an edit, within the limits of a recipe."""
    return io.Float.Input(
        name, default=1.0, min=-STRENGTH_LIMIT, max=STRENGTH_LIMIT, step=0.05, round=0.001, optional=optional, tooltip=tooltip
    )


NO_EDIT = "No edit comes in: the node that makes it is bypassed, not connected, or at strength 0."


def edit_input(tooltip: str, lazy: bool = False) -> io.Input:
    """An edit, optional so that bypassing the node that makes it is an answer, which :data:`NO_EDIT` tells."""
    return EditType.Input("edit", optional=True, lazy=lazy or None, tooltip=tooltip)


def projections_edit(edit: AnyEdit) -> Edit:
    """``edit``, or an :class:`EditError` when it is one of concepts, which no projection can carry."""
    if not isinstance(edit, Edit):
        raise EditError("This edit changes the text encoder; put it on the CLIP with Apply Edit.")
    return edit
