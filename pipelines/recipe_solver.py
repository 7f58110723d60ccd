"""A recipe in the space of a pipeline's text encoders, as they are now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..editing.assumptions.edit import Edit
from ..editing.assumptions.recipe import Recipe
from ..editing.assumptions.rows_read import RowsRead
from ..editing.encoding import Encode
from .pipeline_moments import known_moment
from .text_encoding import encoder_of
from .text_models import text_norms


def solve_recipe(
    pipe: Any,
    recipe: Recipe,
    encode: Encode | None = None,
    read: Encode | None = None,
    advance: Callable[[int, int], None] = lambda done, all_of_them: None,
) -> Edit:
    """Encode, align, solve.

    Args:
        pipe: its text encoders are enough.
        recipe: what is asked.
        encode: the pipeline's own encoder, where it is known already (:func:`~.text_encoding.encoder_of`).
        read: reads the recipe's prompts; None for that encoder.
        advance: told how many captions and words were read, and of how many, the first time for a text encoder.

    Raises:
        EditError: the pipeline is not known, or the recipe cannot be solved.
    """
    recipe.check_active()
    encode = encode or encoder_of(pipe)
    prompts, reads = recipe.prompts(), RowsRead(text_norms(pipe))
    encoded = dict(zip(prompts, (read or encode)(prompts), strict=True))
    moment = None
    if recipe.regularizer == "captions":
        read_as = reads.encode(encode)
        moment = known_moment(pipe, read_as, advance).beside(recipe.sources, read_as)
    return reads.solve(recipe, encoded, moment)
