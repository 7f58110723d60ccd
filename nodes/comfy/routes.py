"""What the page asks the server for."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import folder_paths
from aiohttp import web

from ...editing.assumptions.recipe_presets import preset_recipe
from ...editing.edit_file import is_edit, read_header
from ...editing.errors import EditError
from ...pictures.cover import cover_address
from .progress import prompt_server
from .saved_edits import existing_path

_MOST = 1000


def register_routes() -> None:
    """Tell ComfyUI's server about them, where there is one; before it starts to answer."""
    if (server := prompt_server()) is not None:
        server.routes.post("/edit_assumption/edits_among_loras")(_edits_among_loras)
        server.routes.get("/edit_assumption/saved_edit")(_saved_edit)
        server.routes.get("/edit_assumption/preset")(_preset)


async def _edits_among_loras(request: web.Request) -> web.Response:
    """Which of some names, a list in JSON, are edits that lie among the LoRA files; files that are not there are none."""
    try:
        names = json.loads(await request.text())
    except ValueError:
        names = None
    if not isinstance(names, list) or len(names) > _MOST or not all(isinstance(name, str) for name in names):
        return web.json_response({"error": f"Send a list of at most {_MOST} names."}, status=400)
    paths = {name: folder_paths.get_full_path("loras", name) for name in names}
    return web.json_response([name for name, path in paths.items() if path and is_edit(path)])


async def _saved_edit(request: web.Request) -> web.Response:
    """The recipe and the cover of the saved edit that is called ``name``, or what is wrong with it under ``problem``."""
    return web.json_response(await asyncio.to_thread(_described, request.query.get("name", "")))


def _described(name: str) -> dict[str, Any]:
    try:
        header = read_header(existing_path(name))
    except EditError as error:
        return {"problem": str(error)}
    return {"recipe": header["recipe_text"], "cover": cover_address(header)}


async def _preset(request: web.Request) -> web.Response:
    """The same of the preset that is called ``name``, which has no cover."""
    try:
        return web.json_response({"recipe": preset_recipe(request.query.get("name", ""))})
    except EditError as error:
        return web.json_response({"problem": str(error)})
