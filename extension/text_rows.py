"""Models whose layers are not known here: an edit maps their text itself, M c for every row that they are handed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..editing.assumptions.context_map import ContextMap
from ..editing.assumptions.edit import Edit
from ..editing.assumptions.report import describe
from ..editing.assumptions.text_inputs import TextInputs
from ..editing.errors import PackedWeightsError
from ..editing.families import Family
from ..editing.projections import INPUT, Projection

ROWS = "text rows"
"""Stands for a weight's key where there is no weight."""
_BY_TEXT = "the text is changed before the model reads it, weights are not"


@dataclass(frozen=True)
class RowInputs(TextInputs):
    """A model that is edited by its text alone."""

    @classmethod
    def of(cls, name: str, width: int) -> RowInputs:
        """Those of a model that reads rows of ``width`` numbers, by the name that users know."""
        family = Family(name, width, "", "", entry=ROWS)
        return cls(family, [Projection(ROWS, ROWS, ROWS, INPUT, "input", "text")], {ROWS: width}, _no_weight)

    def report(self, edit: Edit, remarks: Iterable[str] = ()) -> str:
        """What an edit does to this model, for people."""
        self.chosen(edit)
        return describe(edit, [], {}, remarks if edit.chance else [*remarks, _BY_TEXT])


def _no_weight(key: str, every: int) -> torch.Tensor:
    raise PackedWeightsError("An edit of this model changes no weight, so there is no LoRA of it; save it as an edit.")


class MappedRows:
    """Edits of one sampling's conditionings, its own and the negative one's.

    Args:
        maps: of the rows, in turn, as a weight W would become W M1 M2.
    """

    def __init__(self, maps: Sequence[ContextMap]) -> None:
        self._maps = list(maps)
        self.problem = "this sampler does not tell of its steps, so the edit is not in the picture." if self._maps else ""

    def change(self, params: Any) -> None:
        """For the WebUI's callback before each step: ``CFGDenoiserParams``."""
        params.text_cond = self._mapped(params.text_cond)
        params.text_uncond = self._mapped(params.text_uncond)
        self.problem = ""

    def _mapped(self, given: Any) -> Any:
        """A conditioning, or a dictionary that has it beside others; None where a sampler has no guidance."""
        if given is None or not self._maps:
            return given
        if isinstance(given, dict):
            given["crossattn"] = self._mapped(given["crossattn"])
            return given
        self._maps = [context_map.to(given.device) for context_map in self._maps]
        for context_map in reversed(self._maps):
            given = context_map.apply(given)
        return given
