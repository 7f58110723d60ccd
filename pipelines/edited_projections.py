"""A context map on a diffusers pipeline, for as long as a block of code runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from ..editing.assumptions.context_map import ContextMap
from ..editing.errors import EditError
from .mapped_text import TextMaps, mapped_text
from .module_view import own_view
from .text_models import components, text_model, text_width


@contextmanager
def edited_projections(pipe: Any, context_map: ContextMap, norms: int = 0) -> Iterator[None]:
    """While it is open, every projection W that reads the pipeline's text acts as W M; opened in turn, as W M1 M2.

    Args:
        pipe: a pipeline of a known family (:mod:`.text_models`); others that share its model are left alone.
        context_map: M, or any other map of the text, which may have no width of its own.
        norms: behind how many norms side by side M reads the text (:mod:`~..editing.assumptions.behind_norm`).

    Raises:
        EditError: the model reads no text of that width, reads it in another way, or cannot be hooked.
    """
    known, width = text_model(pipe), text_width(pipe)
    if width != getattr(context_map, "width", width):
        raise EditError(
            f"This pipeline reads text of another width ({width}) than the edit ({context_map.width}); make the edit with it."
        )
    with ExitStack() as stack:
        for name in components(pipe):
            view = stack.enter_context(own_view(pipe, name))
            stack.enter_context(mapped_text(view, known, [TextMaps(context_map, norms=norms)]))
        yield
