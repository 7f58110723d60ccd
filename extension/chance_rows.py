"""Edits by chance: the WebUI's conditionings, row by row as their pictures have drawn, before each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..editing.assumptions.chance_draw import Picture, described_draw, draw
from ..editing.assumptions.chance_map import ChanceMapOn
from ..editing.assumptions.edit import Edit
from ..editing.assumptions.recipe import Recipe
from ..editing.errors import EditError

DREW_KEY = "Edit Assumption drew"
"""In a picture's parameters: what it has drawn, to be read."""


def drawn_by(p: Any, recipe: Recipe) -> list[tuple[int, ...]]:
    """What each picture of the batch that is being drawn has drawn, by its seed; those that are spread, over the whole run."""
    begin, count = p.iteration * p.batch_size, len(p.seeds)
    pictures = [Picture(int(seed)) for seed in p.all_seeds]
    return draw(recipe.drawn, pictures, recipe.spread)[begin : begin + count]


def parameters_of(p: Any, recipes: Sequence[Recipe]) -> dict[str, list[str]]:
    """For the pictures' infotexts, a text for each picture of the batch; nothing where nothing is drawn."""
    drawn = [[described_draw(recipe.drawn, own) for own in drawn_by(p, recipe)] for recipe in recipes if recipe.drawn]
    return {DREW_KEY: ["; ".join(texts) for texts in zip(*drawn, strict=True)]} if drawn else {}


class ChanceRows:
    """Edits by chance for one batch.

    Args:
        p: the WebUI's processing object.
        edits: with their maps, in turn.
    """

    def __init__(self, p: Any, edits: Sequence[Edit]) -> None:
        self._edits = [(edit.recipe, ChanceMapOn(edit.chance), drawn_by(p, edit.recipe)) for edit in edits if edit.chance]
        self.problem = "this sampler does not tell of its steps, so nothing is drawn by chance." if self._edits else ""

    def change(self, params: Any) -> None:
        """For the WebUI's callback before each step: ``CFGDenoiserParams``. What is raised there would only be printed."""
        try:
            self._change(params)
        except EditError as error:
            self.problem = str(error)
        else:
            self.problem = ""

    def _change(self, params: Any) -> None:
        if not self._edits:
            return
        asked = params.denoiser.sampler.sampler_extra_args["cond"].batch
        owners = [place for place, parts in enumerate(asked) for _ in parts]  # several where a prompt has AND
        for recipe, chance, drawn in reversed(self._edits):
            if len(asked) != len(drawn):
                raise EditError("this sampler draws another number of pictures than asked for, so nothing is drawn by chance.")
            params.text_cond = _mapped(params.text_cond, chance, [drawn[owner] for owner in owners])
            if recipe.negative:
                params.text_uncond = _mapped(params.text_uncond, chance, drawn)


def _mapped(given: Any, chance: ChanceMapOn, drawn: Sequence[tuple[int, ...]]) -> Any:
    """A conditioning with its text changed: a tensor, or a dictionary that has it beside the pooled embedding."""
    if given is None:  # a sampler without guidance
        return None
    if isinstance(given, dict):
        given["crossattn"] = _mapped(given["crossattn"], chance, drawn)
        return given
    if len(given) != len(drawn):
        raise EditError("it is not known which row of this sampler is of which picture, so nothing is drawn by chance.")
    return chance.apply(given, drawn)
