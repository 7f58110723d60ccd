"""What of a prompt the weights read that an edit is for, and edits solved on that.

Most weights read a text encoder's rows as they are. Behind a norm they read unit rows (:mod:`.behind_norm`); behind layers of
the model's own, what these make of the rows, each by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from ..encoder_identity import EncoderIdentity
from ..encoding import Encode, EncodedPrompt
from .behind_norm import unit_rows
from .edit import Edit, solve_edit
from .recipe import Recipe
from .space import Moment

_PADDING = 16
"""Rows of padding that are kept before a model's own layers. They make the same of each, up to 500 of one prompt, and it is
to stay."""


@dataclass(frozen=True)
class RowsRead:
    """A place in a model.

    Args:
        norms: how many norms stand side by side before it.
        layers: the family whose own layers text passes before it; empty where it passes none.
        through: what these layers make of rows, (tokens, width) to (tokens, another width); None where ``layers`` is empty, or
            the text encoder has passed them already.
    """

    norms: int = 0
    layers: str = ""
    through: Callable[[torch.Tensor], torch.Tensor] | None = field(default=None, compare=False)

    @property
    def plain(self) -> bool:
        """Whether the rows are read as they are."""
        return not self.norms and self.through is None

    def prompt(self, prompt: EncodedPrompt) -> EncodedPrompt:
        """A prompt with the rows that are read."""
        if self.through is not None:
            prompt = _few_zeros(prompt)
            return replace(prompt, embeddings=self.through(prompt.embeddings))
        return replace(prompt, embeddings=unit_rows(prompt.embeddings, self.norms)) if self.norms else prompt

    def encode(self, encode: Encode) -> Encode:
        """An encoder that gives the rows that are read."""

        def encode_read(prompts: Sequence[str]) -> list[EncodedPrompt]:
            return [self.prompt(prompt) for prompt in encode(prompts)]

        return encode if self.plain else encode_read

    def holds(self, edit: Edit) -> bool:
        """Whether an edit was solved on these rows."""
        return (edit.norms, edit.layers) == (self.norms, self.layers)

    def solve(self, recipe: Recipe, encoded: Mapping[str, EncodedPrompt], moment: Moment | None) -> Edit:
        """:func:`~.edit.solve_edit` on the rows that are read.

        Args:
            recipe: what is asked.
            encoded: its prompts, as the encoder gives them.
            moment: of the rows that are read.

        Raises:
            EditError: as :func:`~.edit.solve_edit`.
        """
        edit = solve_edit(recipe, {text: self.prompt(prompt) for text, prompt in encoded.items()}, moment)
        encoder = EncoderIdentity.of(edit.encoder.prompt, encoded[edit.encoder.prompt])
        return replace(edit, norms=self.norms, layers=self.layers, encoder=encoder)


def _few_zeros(prompt: EncodedPrompt) -> EncodedPrompt:
    """A prompt of one window with a few of the rows of zeros behind it."""
    used = prompt.embeddings.any(dim=1).nonzero().flatten()
    kept = min(len(prompt.tokens), (int(used[-1]) + 1 if len(used) else 0) + _PADDING)
    if len(prompt.chunks) > 1 or prompt.chunks[0].words.stop > kept:
        return prompt
    chunk = replace(prompt.chunks[0], stop=kept)
    return replace(prompt, tokens=prompt.tokens[:kept], chunks=(chunk,), embeddings=prompt.embeddings[:kept])
