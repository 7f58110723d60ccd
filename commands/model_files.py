"""The model that a command was told: the bundled one, a diffusers folder, or a checkpoint file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..editing.any_edit import AnyEdit
from ..editing.assumptions.recipe import Recipe
from ..editing.assumptions.text_inputs import TextInputs
from ..editing.concepts.concept_edit import ConceptEdit
from ..editing.concepts.concept_recipe import ConceptRecipe
from ..editing.concepts.concept_report import describe_concepts
from ..editing.edit_file import load_edit
from ..editing.errors import EditError
from ..pipelines.cache_folder import cache_folder
from ..pipelines.checkpoint_text import text_pipeline
from ..pipelines.command_inputs import load_pipeline
from ..pipelines.pipeline_concepts import edit_concepts
from ..pipelines.recipe_solver import solve_recipe
from ..pipelines.text_models import text_inputs
from .checkpoint import Checkpoint
from .progress import counted

_CPU = torch.device("cpu")
SUFFIX = ".safetensors"


class Model:
    """What a command edits.

    Args:
        name: a checkpoint, a diffusers folder or a name on the hub; None for the bundled model.
        config: for a checkpoint: where tokenizers are.

    Raises:
        EditError: it is none of these.
    """

    def __init__(self, name: str | None, config: str | None = None) -> None:
        self.name, self.config = name, config
        path = Path(name) if name else None
        is_file = path is not None and (path.is_file() or path.suffix in (SUFFIX, ".ckpt", ".pt"))
        self.checkpoint = Checkpoint(path) if path is not None and is_file else None
        self._loaded: dict[bool, Any] = {}

    @property
    def inputs(self) -> TextInputs:
        """Where text enters it."""
        return self.checkpoint.inputs if self.checkpoint else text_inputs(self.pipeline())

    def pipeline(self, whole: bool = True) -> Any:
        """A pipeline of it; ``whole``: with the diffusion model, which a checkpoint's has not."""
        if True in self._loaded:
            return self._loaded[True]
        if whole not in self._loaded:
            self._loaded[whole] = self._load(whole)
        return self._loaded[whole]

    def _load(self, whole: bool) -> Any:
        if self.checkpoint:
            return text_pipeline(self.checkpoint.inputs.family.name, self.checkpoint.text_weights, self.config)
        return load_pipeline(self.name, whole, _CPU)

    def solve(self, recipe: Recipe | ConceptRecipe) -> AnyEdit:
        """The recipe's edit, with progress. Raises :class:`EditError` where it cannot be solved for this model."""
        if isinstance(recipe, ConceptRecipe):
            if self.checkpoint and recipe.mode != "text":
                raise EditError(
                    "Of a checkpoint only the text encoder is read; set “! mode: text”, or give a diffusers folder."
                )
            pipe = self.pipeline(recipe.mode != "text")
            with counted("concepts", "concept") as advance:
                return edit_concepts(pipe, recipe, folder=cache_folder("concepts"), advance=advance)
        with counted("captions and words", "text") as advance:
            return solve_recipe(self.pipeline(False), recipe, advance=advance)

    def report(self, edit: AnyEdit) -> str:
        """What an edit does to the model, for people."""
        return describe_concepts(edit) if isinstance(edit, ConceptEdit) else self.inputs.report(edit)


def edit_file(path: Path) -> AnyEdit:
    """An edit from its file. Raises :class:`EditError` where the file is something else."""
    try:
        return load_edit(path)
    except OSError as error:
        raise EditError(f"“{path}” cannot be read ({error.strerror}); give an edit file.") from error


def check_output(path: Path | None, ending: str = SUFFIX) -> None:
    """Raise :class:`EditError` for a place that nothing can be written to, before any work is done."""
    from ..editing.whole_file import check_place

    if path is None:
        return
    if path.suffix.lower() != ending:
        raise EditError(f"“{path}” needs a name that ends in {ending}.")
    check_place(path)
