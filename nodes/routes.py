"""What the pack's own widgets in the page ask ComfyUI's server."""

from __future__ import annotations

import asyncio

from aiohttp import web
from server import PromptServer

from ..editing.edit_file import read_header
from ..editing.errors import EditError
from ..editing.recipe_presets import preset_recipe
from ..pictures.cover import cover_address
from .saved_edits import existing_path

_SAVED_EDIT, _PRESET = "/edit_assumption/saved_edit", "/edit_assumption/preset"


def register_routes() -> None:
    """Before ComfyUI's server starts: ``GET`` with ``?name=…`` describes a saved edit or a preset."""
    if server := getattr(PromptServer, "instance", None):  # programs load nodes without one
        server.routes.get(_SAVED_EDIT)(saved_edit)
        server.routes.get(_PRESET)(preset)


async def saved_edit(request: web.Request) -> web.Response:
    """The edit's recipe and its cover as JSON; the sentence that says what is wrong under ``problem``."""
    return web.json_response(await asyncio.to_thread(_described, request.query.get("name", "")))


async def preset(request: web.Request) -> web.Response:
    """The same of a preset."""
    try:
        return web.json_response({"recipe": preset_recipe(request.query.get("name", ""))})
    except EditError as error:
        return web.json_response({"problem": str(error)})


def _described(name: str) -> dict[str, str | None]:
    try:
        header = read_header(existing_path(name))
        return {"recipe": header["recipe_text"], "cover": cover_address(header)}
    except EditError as error:
        return {"problem": str(error)}
