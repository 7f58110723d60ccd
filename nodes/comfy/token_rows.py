"""Which of a prompt's tokens the rows of a CLIP belong to, where prompts stand within a template for a language model.

The host tokenizes the template with the prompt, and cuts some of its rows off. What the template is shows when prompts are
compared: what they share at their beginning and at their end is not their own. How many opening rows are cut off shows in the
embeddings: the encoders are causal, so the first row in which two prompts differ is the first token in which they do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ...editing.errors import EditError
from ...editing.templates import PROBES, first_difference, own_tokens, same_token, template_around

_NO_ROWS = (
    "No edit is known for the way in which this CLIP makes rows of a prompt's tokens; connect one with a single text encoder, "
    "or that of an SD 1.x, SD 2.x, SDXL, SD3 or Flux checkpoint."
)


def no_rows() -> EditError:
    """What is said of a CLIP whose rows belong to no tokens that are known."""
    return EditError(_NO_ROWS)


@dataclass(frozen=True)
class TokenRows:
    """Where the rows of one encoder begin, and what stands around every prompt.

    Args:
        around: the empty prompt's tokens without padding.
        cut: how many opening tokens have no row.
        padding: the number of the padding token.
        every: whether every token has a row, also padding that stands before the prompt.
    """

    around: tuple[Any, ...]
    cut: int
    padding: Any
    every: bool

    @classmethod
    def found(cls, tokens: Callable[[str], Sequence[Any]], rows: Callable[[str], torch.Tensor], tokenizer: Any) -> TokenRows:
        """By probing an encoder.

        Args:
            tokens: a prompt's tokens as entries of (token, weight, word).
            rows: a prompt's rows, (rows, width).
            tokenizer: the host's.

        Raises:
            EditError: the rows cannot be told apart.
        """
        padding = getattr(tokenizer, "pad_token", None)
        around = tuple(template_around(*(_plain(tokens(text), padding) for text in (*PROBES, ""))))
        rows_of_one, rows_of_other = (rows(text) for text in PROBES)
        one = _with_rows(tokens(PROBES[0]), padding, len(rows_of_one))
        other = _with_rows(tokens(PROBES[1]), padding, len(rows_of_other))
        if len(one) == len(rows_of_one):
            return cls(around, 0, padding, len(one) == len(tokens(PROBES[0])))
        first = next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a[0] != b[0]), None)
        shown = first_difference(rows_of_one, rows_of_other)
        if first is None or shown is None or not 0 <= first - shown <= len(one) - len(rows_of_one):
            raise no_rows()
        return cls(around, first - shown, padding, False)

    def place(self, entries: Sequence[Any], count: int) -> tuple[list[Any], range]:
        """The tokens of a prompt's rows, and where among them are its own.

        Args:
            entries: (token, weight, word) of all of its tokens.
            count: how many rows there are.

        Raises:
            EditError: there are more rows than tokens.
        """
        entries = _with_rows(entries, self.padding, count)
        shown = [token for token, _, _ in entries[self.cut : self.cut + count]]
        if len(shown) != count:
            raise no_rows()
        plain = _plain(entries, self.padding)
        own = own_tokens(plain, self.around)
        return shown, range(min(max(0, own.start - self.cut), count), min(max(0, own.stop - self.cut), count))


def _plain(entries: Sequence[Any], padding: Any) -> list[Any]:
    """Tokens without the padding behind them."""
    tokens = [token for token, _, _ in entries]
    while tokens and entries[len(tokens) - 1][2] == 0 and same_token(tokens[-1], padding):
        tokens.pop()
    return tokens


def _with_rows(entries: Sequence[Any], padding: Any, count: int) -> Sequence[Any]:
    """Without so much of the padding before them as has no rows."""
    leading = 0
    while leading < len(entries) - count and entries[leading][2] == 0 and same_token(entries[leading][0], padding):
        leading += 1
    return entries[leading:]
