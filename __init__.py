"""Edit Assumption: edits what a text-to-image model takes for granted.

For ComfyUI this is a node pack, for A1111 and Forge an extension. In Python:

    import edit_assumption as ea

    edit = ea.edit_pipeline(pipe, "a pack of roses -> a pack of blue roses")  # solved and on
    edit.off()
    edit.on(strength=0.5)
    edit.save("roses.safetensors")

Nothing else is imported before it is asked for: ComfyUI never imports diffusers, and naming the package imports no torch.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .editing.assumptions.context_map import ContextMap
    from .editing.assumptions.edit import Edit, make_edit
    from .editing.assumptions.prompt_pair import PromptPair
    from .editing.assumptions.recipe import Recipe, parse_recipe
    from .editing.concepts.concept_edit import ConceptEdit
    from .editing.concepts.concept_recipe import ConceptRecipe, parse_concept_recipe
    from .editing.edit_file import load_edit, save_edit
    from .editing.errors import EditError
    from .pipelines.pipeline_edit import PipelineEdit, apply_edit, edit_pipeline, edited

__version__ = "0.2.0"
__all__ = [
    "ConceptEdit",
    "ConceptRecipe",
    "ContextMap",
    "Edit",
    "EditError",
    "PipelineEdit",
    "PromptPair",
    "Recipe",
    "__version__",
    "apply_edit",
    "edit_pipeline",
    "edited",
    "load_edit",
    "make_edit",
    "parse_concept_recipe",
    "parse_recipe",
    "save_edit",
]
_MODULES = {
    "ConceptEdit": "editing.concepts.concept_edit",
    "ConceptRecipe": "editing.concepts.concept_recipe",
    "ContextMap": "editing.assumptions.context_map",
    "Edit": "editing.assumptions.edit",
    "EditError": "editing.errors",
    "PipelineEdit": "pipelines.pipeline_edit",
    "PromptPair": "editing.assumptions.recipe",
    "Recipe": "editing.assumptions.recipe",
    "apply_edit": "pipelines.pipeline_edit",
    "edit_pipeline": "pipelines.pipeline_edit",
    "edited": "pipelines.pipeline_edit",
    "load_edit": "editing.edit_file",
    "make_edit": "editing.assumptions.edit",
    "parse_concept_recipe": "editing.concepts.concept_recipe",
    "parse_recipe": "editing.assumptions.recipe",
    "save_edit": "editing.edit_file",
}
if "__path__" in globals():  # pytest runs this file by itself where the folder's name is no name of Python's, such as this-one
    __path__.append(str(Path(__file__).parent / "front"))  # where edit_assumption.diffusers is
WEB_DIRECTORY = "./web"
"""Where ComfyUI finds what the pack adds to its page."""


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first asked for (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)


async def comfy_entrypoint() -> Any:
    """Called by ComfyUI once it is up; nothing of it is imported before."""
    from .nodes import EditAssumptionExtension

    return EditAssumptionExtension()
