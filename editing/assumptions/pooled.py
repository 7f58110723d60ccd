"""The pooled embedding, one vector a prompt that some models read beside its tokens: the same edit there.

SDXL adds it to the time step, SD3 and Flux modulate every layer with it. A prompt is one column, so the equation is that of
:mod:`.closed_form` with a sentence in a token's place.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ..encoding import EncodedPrompt
from ..errors import EditError
from .closed_form import solve
from .context_map import ContextMap
from .recipe import Recipe
from .token_columns import Columns, check_finite


def pooled_columns(recipe: Recipe, encoded: Mapping[str, EncodedPrompt]) -> Columns:
    """The recipe's pairs in all their sentences, and its preserved prompts, one column each.

    Raises:
        EditError: the encoder gives no pooled embedding, or one that is not finite.
    """

    def row(prompt: str) -> torch.Tensor:
        pooled = encoded[prompt].pooled
        if pooled is None:
            raise EditError("This model's text encoder has no pooled embedding that could be edited; switch “pooled” off.")
        return pooled[None]

    parts = [
        Columns.of(row(source), row(destination), pair.strength, pair.weight)
        for pair in recipe.active
        for source, destination in pair.sentences()
    ]
    parts += [Columns.of(row(prompt), row(prompt)) for prompt in recipe.kept]
    columns = Columns.joined(parts)
    check_finite(columns.source)
    check_finite(columns.destination)
    return columns


def pooled_map(recipe: Recipe, encoded: Mapping[str, EncodedPrompt], scaled: bool = True) -> ContextMap:
    """M of the pooled embedding, (width of it, width of it), weighed against the identity: captions' tokens say nothing here.

    Raises:
        EditError: as :func:`pooled_columns` and :func:`~.closed_form.solve`.
    """
    strict = [pooled for prompt in recipe.strict if (pooled := encoded[prompt].pooled) is not None]
    protected = torch.stack(strict).double() if strict else None
    return solve(pooled_columns(recipe, encoded), recipe.regularization, scaled, protected=protected).context_map
