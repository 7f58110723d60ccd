"""Edit Assumption: edits what a text-to-image model takes for granted. ComfyUI's entry point."""

from __future__ import annotations

from typing import Any

WEB_DIRECTORY = "./web"


async def comfy_entrypoint() -> Any:
    """Called by ComfyUI once it is up; nothing of it is imported before."""
    from .nodes import EditAssumptionExtension

    return EditAssumptionExtension()
