"""Edits on diffusers pipelines, as users have them: made, put on, switched off and on, saved."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from ..editing.any_edit import AnyEdit
from ..editing.any_lora import any_lora, write_any_lora
from ..editing.any_recipe import parse_any_recipe
from ..editing.assumptions.edit import Edit
from ..editing.assumptions.prompt_pair import check_strength
from ..editing.assumptions.recipe import Recipe
from ..editing.concepts.concept_edit import ConceptEdit
from ..editing.concepts.concept_recipe import ConceptRecipe
from ..editing.concepts.concept_report import describe_concepts
from ..editing.edit_file import save_edit
from ..editing.errors import EditError
from .cache_folder import cache_folder
from .edit_stack import Carried, EditStack
from .pipeline_concepts import edit_concepts
from .text_encoding import encoder_of
from .text_models import components, text_inputs


class PipelineEdit:
    """An edit on a pipeline. :func:`edit_pipeline` and :func:`apply_edit` make them.

    Pictures follow the edit while it is on. While it is off the pipeline draws what it drew before, to the bit. Several edits
    on one pipeline whose settings are the same are solved together.
    """

    def __init__(self, stack: EditStack, carried: Carried) -> None:
        self._stack, self._carried = stack, carried

    @property
    def edit(self) -> AnyEdit:
        """The edit itself, alone and at strength 1."""
        return self._carried.edit

    @property
    def pipe(self) -> Any:
        """The pipeline that it is on."""
        return self._stack.pipe

    @property
    def strength(self) -> float:
        """What the edit is scaled by: 0 is off, 1 is as made."""
        return self._carried.strength

    @property
    def is_on(self) -> bool:
        """Whether pictures follow it now."""
        return self._carried.on and not self.is_removed

    @property
    def is_removed(self) -> bool:
        """Whether it was taken off for good."""
        return self._carried not in self._stack.entries

    @property
    def report(self) -> str:
        """What the edit does, for people: what was edited, how far the model moves, what is left of the request, warnings."""
        acting = self._stack.acting(self._carried)
        edit = self.edit if acting is None else acting
        remarks = [] if self.is_on else ["off"]
        if isinstance(edit, ConceptEdit):
            return describe_concepts(edit, remarks)
        return text_inputs(self.pipe).report(edit, remarks)

    @property
    def drawn(self) -> list[str]:
        """What each picture of the pipeline's latest call has drawn; empty for an edit without variants."""
        return self._stack.drawn(self._carried)

    def on(self, strength: float | None = None) -> PipelineEdit:
        """Switch the edit on; it itself comes back.

        Args:
            strength: what to scale it by, from -2 to 2; None leaves that as it is.

        Raises:
            EditError: it does not act on this pipeline, or was removed.
        """
        if self.is_removed:
            raise EditError("This edit was removed from its pipeline; put it on again with apply_edit.")
        chosen = self.strength if strength is None else check_strength(strength)
        self._stack.change(lambda: _switch(self._carried, True, chosen))
        return self

    def off(self) -> PipelineEdit:
        """Switch the edit off; it itself comes back."""
        self._stack.change(lambda: _switch(self._carried, False, self.strength))
        return self

    def remove(self) -> None:
        """Take the edit off the pipeline for good. Removing it twice does nothing."""
        self._stack.change(lambda: self._stack.drop(self._carried))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write an edit file, at the strength that the edit has, for :func:`~..editing.edit_file.load_edit` and other hosts.

        Raises:
            OSError: it cannot be written; a file that was there before is still there.
        """
        save_edit(self._scaled(), path)

    def save_lora(self, path: str | os.PathLike[str], tolerance: float = 0.0, dtype: torch.dtype = torch.float32) -> None:
        """Write a LoRA file with kohya's names, at the strength that the edit has, for the pipeline's own weights.

        Args:
            path: where.
            tolerance: 0 for the exact update; see :func:`~..editing.assumptions.edit_lora.lora_tensors`.
            dtype: of the matrices.

        Raises:
            EditError: the weights cannot be read, a value does not fit ``dtype``, or the pipeline has two transformers.
            OSError: it cannot be written.
        """
        edit = self._scaled()
        if isinstance(edit, Edit) and len(components(self.pipe)) > 1:
            raise EditError(
                "This pipeline has two transformers, and a LoRA holds the edit for one of them; save the edit itself with "
                "edit.save(…)."
            )
        write_any_lora(path, edit, *any_lora(edit, lambda: text_inputs(self.pipe), tolerance, dtype))

    def _scaled(self) -> AnyEdit:
        return self.edit.restated(self.strength)

    def __repr__(self) -> str:
        """The recipe's first line, and whether the edit is on."""
        first = self.edit.recipe.to_text().splitlines()
        return f"<PipelineEdit “{first[0] if first else ''}” {f'on at {self.strength:g}' if self.is_on else 'off'}>"


def edit_pipeline(
    pipe: Any,
    recipe: str | Recipe | ConceptRecipe,
    *,
    strength: float = 1.0,
    captions: Sequence[str] | None = None,
    progress: Callable[[int, int], None] = lambda done, all_of_them: None,
    **settings: Any,
) -> PipelineEdit:
    """Make an edit for a pipeline, and put it on.

    Args:
        pipe: a diffusers pipeline of SD 1.x, SD 2.x, SDXL, PixArt, SD3, Flux or a newer family that docs/models.md lists. Its
            weights are not changed.
        recipe: lines such as ``a pack of roses -> a pack of blue roses``, or a recipe. Lines with ``! mode: attention`` (or
            another mode) among them are concepts, which are edited in the text encoder (EMCID).
        strength: what the edit is scaled by, from -2 to 2.
        captions: for concepts: what is ordinary to the text encoder; None for the package's own.
        progress: for concepts: told how many values were found, and of how many; may raise to stop.
        settings: fields of :class:`Recipe` or :class:`ConceptRecipe` that the lines do not set, such as ``regularization``.

    Raises:
        EditError: the recipe is not understood, cannot be solved, or would not act on this pipeline.
    """
    strength, stack = check_strength(strength), EditStack.of(pipe)
    asked = _recipe(recipe, settings)
    if isinstance(asked, ConceptRecipe):
        edit = edit_concepts(pipe, asked, captions, folder=cache_folder("concepts"), advance=progress)
        return _put_on(stack, Carried(edit, None, strength))
    return _put_on(stack, Carried(stack.solve(asked), asked, strength))


def apply_edit(pipe: Any, edit: AnyEdit, *, strength: float = 1.0) -> PipelineEdit:
    """Put an edit that was made before, such as one from a file, on a pipeline.

    Args:
        pipe: as for :func:`edit_pipeline`.
        edit: for this pipeline's text encoders; of close relatives there is a warning.
        strength: what the edit is scaled by, from -2 to 2.

    Raises:
        EditError: it is for another text encoder or model, or would not act on this pipeline.
    """
    strength, stack = check_strength(strength), EditStack.of(pipe)
    if isinstance(edit, Edit) and (remark := edit.check_encoder(encoder_of(pipe))):
        warnings.warn(f"The edit was {remark}.", stacklevel=2)
    return _put_on(stack, Carried(edit, None, strength))


@contextmanager
def edited(pipe: Any, edit: PipelineEdit | AnyEdit | str | Recipe | ConceptRecipe, **options: Any) -> Iterator[PipelineEdit]:
    """While it is open, an edit is on; afterwards all is as it was before.

    Args:
        pipe: as for :func:`edit_pipeline`.
        edit: one that is on this pipeline already, one from a file, or what :func:`edit_pipeline` takes.
        options: those of :func:`edit_pipeline` or :func:`apply_edit`; of an edit that is on the pipeline, ``strength``.

    Raises:
        EditError: as these.
    """
    if isinstance(edit, PipelineEdit) and edit.pipe is pipe and not edit.is_removed:
        was_on, strength = edit.is_on, edit.strength
        try:
            yield edit.on(**options)
        finally:
            edit.on(strength)
            if not was_on:
                edit.off()
        return
    made = edit.edit if isinstance(edit, PipelineEdit) else edit
    put_on = apply_edit(pipe, made, **options) if isinstance(made, Edit | ConceptEdit) else edit_pipeline(pipe, made, **options)
    try:
        yield put_on
    finally:
        put_on.remove()


def _recipe(recipe: str | Recipe | ConceptRecipe, settings: dict[str, Any]) -> Recipe | ConceptRecipe:
    if isinstance(recipe, str):
        return parse_any_recipe(recipe, **settings)
    if settings:
        raise EditError(f"The recipe has settings of its own; set {', '.join(settings)} there, or give the recipe as lines.")
    return recipe


def _put_on(stack: EditStack, carried: Carried) -> PipelineEdit:
    stack.change(lambda: stack.entries.append(carried))
    return PipelineEdit(stack, carried)


def _switch(carried: Carried, on: bool, strength: float) -> None:
    carried.on, carried.strength = on, strength
