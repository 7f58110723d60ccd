"""What a running node shows on the page, and its stop when the user cancels."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from itertools import count
from typing import Any

import comfy.model_management
import comfy.utils
from server import PromptServer

_TOLD_EVERY = 0.2
"""Seconds between two messages to the page."""


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


def tell_drawn() -> Callable[[list[str]], None]:
    """For the node that runs now: a function that shows, beneath its report and in the log, what pictures have drawn."""
    server = prompt_server()
    node = server.last_node_id if server is not None else None

    def tell(lines: list[str]) -> None:
        logging.info("Edit Assumption: drawn by chance: %s", "; ".join(lines))
        if server is not None and server.client_id is not None:
            run = getattr(server, "last_prompt_id", "")
            server.send_sync("edit_assumption.drawn", {"node": node, "run": run, "lines": lines}, server.client_id)

    return tell


def _tell_page(doing: dict[str, Any]) -> None:
    """Show what the running node is doing, on the page that queued it."""
    server = prompt_server()
    if server is not None and server.client_id is not None:
        server.send_sync("edit_assumption.doing", {"node": server.last_node_id, **doing}, server.client_id)
