"""What every node needs from ComfyUI: schemas that any supported version loads, stops, progress."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import fields
from itertools import count
from typing import Any

import comfy.model_management
import comfy.utils
from comfy_api.latest import io
from server import PromptServer

from ...editing.any_edit import AnyEdit
from ...editing.assumptions.edit import Edit
from ...editing.assumptions.recipe import STRENGTH_LIMIT
from ...editing.errors import EditError

CATEGORY = "edit assumption"
EditType = io.Custom("ASSUMPTION_EDIT")
_SCHEMA_FIELDS = {entry.name for entry in fields(io.Schema)}
_TOLD_EVERY = 0.2
"""Seconds between two messages to the page."""


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


def prompt_server() -> PromptServer | None:
    """ComfyUI's server; None where a program uses nodes without one."""
    return getattr(PromptServer, "instance", None)


def stop_if_interrupted() -> None:
    """Raise ComfyUI's own exception when the user pressed Cancel."""
    comfy.model_management.throw_exception_if_processing_interrupted()


def progress(steps: int, what: str = "") -> Callable[[], None]:
    """A progress bar on the running node: a function that advances it by one step and stops when the user cancelled."""
    advance_to, done = progress_to(steps, what=what), count(1)
    return lambda: advance_to(next(done))


def progress_to(steps: int, before: int = 0, what: str = "") -> Callable[[int], None]:
    """A progress bar on the running node: a function that is told how far it got, and stops when the user cancelled.

    Args:
        steps: of the whole bar.
        before: steps that were done already.
        what: is being done, as ``web/js/words.js`` calls what the page says of it; nothing is said without.
    """
    bar, told = comfy.utils.ProgressBar(steps), 0.0

    def tell(done: int) -> None:
        nonlocal told
        if what and time.monotonic() - told >= _TOLD_EVERY:
            told = time.monotonic()
            _tell_page({"what": what, "done": before + done, "of": steps})

    def advance(done: int) -> None:
        stop_if_interrupted()
        bar.update_absolute(before + done, steps)
        tell(done)

    tell(0)
    return advance


def _tell_page(doing: dict[str, Any]) -> None:
    """Show what the running node is doing, on the page that queued it."""
    server = prompt_server()
    if server is not None and server.client_id is not None:
        server.send_sync("edit_assumption.doing", {"node": server.last_node_id, **doing}, server.client_id)


def projections_edit(edit: AnyEdit) -> Edit:
    """``edit``, or an :class:`EditError` when it is one of concepts, which no projection can carry."""
    if not isinstance(edit, Edit):
        raise EditError("This edit changes the text encoder; put it on the CLIP with Apply Edit.")
    return edit
