"""ComfyUI nodes. Each module has a list NODES; this one hands them all to ComfyUI."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import edit_assumption, edit_files, lora_files, pocket_model
from .folders import register_folders

NODES: list[type[io.ComfyNode]] = [*edit_assumption.NODES, *edit_files.NODES, *lora_files.NODES, *pocket_model.NODES]

register_folders()  # before the first schema is asked for its drop-downs


class EditAssumptionExtension(ComfyExtension):
    """The pack, as ComfyUI asks for it."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """All nodes of the pack."""
        return NODES
