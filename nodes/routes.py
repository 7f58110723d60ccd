"""What the page asks the server for."""

from __future__ import annotations

import json

import folder_paths
from aiohttp import web

from ..editing.edit_file import is_edit
from .host import prompt_server

_MOST = 1000


def register_routes() -> None:
    """Tell ComfyUI's server about them, where there is one; before it starts to answer."""
    if (server := prompt_server()) is not None:
        server.routes.post("/edit_assumption/edits_among_loras")(_edits_among_loras)


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
