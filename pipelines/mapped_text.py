"""Edits at the place where a diffusers model takes in text: W M c is W applied to M c, for every layer that reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from ..editing.assumptions.behind_norm import mapped_behind
from ..editing.assumptions.context_map import ContextMap
from ..editing.concepts.hooks import without_autocast
from ..editing.errors import EditError
from .compiled import Arguments, called_with
from .drawn_text import DrawnText
from .text_models import ADDED, ADDED_POOLED, TextModel


@dataclass(frozen=True)
class TextMaps:
    """An edit, as a model's text is mapped by it.

    Args:
        text: M, for every row of the text, or what maps it row by row; None where the layers map it themselves
            (:mod:`.mapped_projections`).
        pooled: M of the pooled embedding, where that is edited.
        norms: behind how many norms side by side M reads the text (:mod:`~..editing.assumptions.behind_norm`).
    """

    text: ContextMap | DrawnText | None
    pooled: ContextMap | None = None
    norms: int = 0


@contextmanager
def mapped_text(view: torch.nn.Module, known: TextModel, edits: Sequence[TextMaps]) -> Iterator[None]:
    """While it is open, a model reads M1 M2 … c in place of its text c.

    This holds for fused projections, compiled and offloaded models, LoRA, and attention processors of any sort alike.

    Args:
        view: of the model (:func:`~.module_view.own_view`).
        known: how it takes text.
        edits: in the order in which they were put on: their weights act as W M1 M2 ….

    Raises:
        EditError: the model is not called as the edits need it.
    """
    hook = _MappedText(known, edits)
    try:
        with called_with(view, hook):
            hook.check(view)
            yield
    finally:
        hook.edits = ()  # pipelines that were made from this one in the meantime have a copy of the hook


class _MappedText:
    """A forward pre-hook of the model: its text and pooled embedding are mapped, in float32."""

    def __init__(self, known: TextModel, edits: Sequence[TextMaps]) -> None:
        self.known, self.edits, self.trying = known, edits, False

    def __call__(self, model: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        if self.trying:
            raise _Called
        text = [(edit.text, edit.norms) for edit in self.edits if edit.text is not None]
        pooled = [edit.pooled for edit in self.edits if edit.pooled is not None]
        name, place = self.known.argument, self.known.position
        if text and name in kwargs:
            kwargs = {**kwargs, name: _with_text(kwargs[name], text)}
        elif text:
            args = (*args[:place], _with_text(args[place], text), *args[place + 1 :])
        return args, self._with_pooled(kwargs, pooled) if pooled else kwargs

    def _with_pooled(self, kwargs: dict[str, Any], maps: Sequence[ContextMap]) -> dict[str, Any]:
        name = self.known.pooled
        if kwargs.get(name) is None:
            raise EditError(f"The edit is one of the pooled embedding, too, but the model is called without “{name}”.")
        if name != ADDED:
            return {**kwargs, name: mapped(kwargs[name], maps)}
        added = kwargs[name]
        return {**kwargs, name: {**added, ADDED_POOLED: mapped(added[ADDED_POOLED], maps)}}

    def check(self, model: torch.nn.Module) -> None:
        """Call the model as the pipeline does, up to this hook. Raises :class:`EditError` where it is not called."""
        self.trying = True
        try:
            model()
        except _Called:
            return
        except Exception:  # whatever a model says that was called with nothing
            pass
        finally:
            self.trying = False
        raise EditError("The edit does not reach the pipeline's model; load the model anew, without what was put in its place.")


def _with_text(rows: torch.Tensor, maps: Sequence[tuple[ContextMap | DrawnText, int]]) -> torch.Tensor:
    for text_map, norms in reversed(maps):
        rows = mapped(rows, [text_map], norms)
    return rows


def mapped(rows: torch.Tensor, maps: Sequence[ContextMap | DrawnText], norms: int = 0) -> torch.Tensor:
    """Rows, (n, tokens, width) or (n, width), by the last map first; a list of such, each.

    Args:
        rows: as the model is handed them.
        maps: of the rows, or of what norms make of them.
        norms: how many of these stand side by side; 0 for maps of the rows.
    """
    if isinstance(rows, list | tuple):
        return type(rows)(mapped(entry, maps, norms) for entry in rows)
    with without_autocast(rows.device):
        for context_map in reversed(maps):
            on_device = context_map if isinstance(context_map, DrawnText) else context_map.to(rows.device)
            rows = mapped_behind(rows, norms, on_device.apply)
    return rows


class _Called(Exception):
    """The hook was."""
