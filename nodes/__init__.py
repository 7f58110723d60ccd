"""ComfyUI nodes. Each module has a list NODES; this one hands them all to ComfyUI."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import (
    comparison_grid,
    concept_slider,
    concept_statistics,
    debias_concept,
    edit_assumption,
    edit_concepts,
    edit_conditioning,
    edit_files,
    edit_hook,
    edit_list,
    edit_stack,
    erase_concept,
    judges,
    pocket_model,
    preserve_prompts,
    preview_edit,
    prompt_with_edits,
    recipe_preset,
    save_lora,
    show_edits,
)
from .comfy.paths import register_folders
from .comfy.routes import register_routes

_MODULES = (
    edit_assumption,
    edit_list,
    recipe_preset,
    preserve_prompts,
    concept_slider,
    erase_concept,
    debias_concept,
    edit_concepts,
    concept_statistics,
    judges,
    edit_files,
    edit_stack,
    prompt_with_edits,
    save_lora,
    preview_edit,
    show_edits,
    comparison_grid,
    edit_conditioning,
    edit_hook,
    pocket_model,
)
NODES: list[type[io.ComfyNode]] = [node for module in _MODULES for node in module.NODES]

register_routes()
register_folders()  # before the first schema is asked for its drop-downs


class EditAssumptionExtension(ComfyExtension):
    """The pack, as ComfyUI asks for it."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """All nodes of the pack."""
        return NODES
