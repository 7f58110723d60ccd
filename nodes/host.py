"""What every node needs from ComfyUI: schemas that any supported version loads, stops, progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from itertools import count
from typing import Any

import comfy.model_management
import comfy.utils
from comfy_api.latest import io

from ..editing.any_edit import AnyEdit
from ..editing.edit import Edit
from ..editing.errors import EditError
from ..editing.recipe import STRENGTH_LIMIT

CATEGORY = "edit assumption"
EditType = io.Custom("ASSUMPTION_EDIT")
_SCHEMA_FIELDS = {entry.name for entry in fields(io.Schema)}


def schema(**details: Any) -> io.Schema:
    """An ``io.Schema`` without the fields that the running version does not have yet (``search_aliases`` before 0.12.1)."""
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


def stop_if_interrupted() -> None:
    """Raise ComfyUI's own exception when the user pressed Cancel."""
    comfy.model_management.throw_exception_if_processing_interrupted()


def progress(steps: int) -> Callable[[], None]:
    """A progress bar on the running node: a function that advances it by one step and stops when the user cancelled."""
    advance_to, done = progress_to(steps), count(1)
    return lambda: advance_to(next(done))


def progress_to(steps: int, before: int = 0) -> Callable[[int], None]:
    """A progress bar on the running node: a function that is told how far it got, and stops when the user cancelled."""
    bar = comfy.utils.ProgressBar(steps)

    def advance(done: int) -> None:
        stop_if_interrupted()
        bar.update_absolute(before + done, steps)

    return advance


def projections_edit(edit: AnyEdit) -> Edit:
    """``edit``, or an :class:`EditError` when it is one of concepts, which no projection can carry."""
    if not isinstance(edit, Edit):
        raise EditError("This edit changes the text encoder; put it on the CLIP with Apply Edit.")
    return edit
