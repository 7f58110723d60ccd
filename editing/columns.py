"""The columns of the least-squares problem: each source token beside what it should become.

The papers write embeddings as columns; here every token is a row, (tokens, width), as encoders return them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch

from .alignment import align
from .encoding import EncodedPrompt, check_read
from .errors import EditError
from .recipe import Recipe


@dataclass(frozen=True)
class Columns:
    """Source tokens c, destination tokens c*, strengths s and weights w: minimise sum w ||W' c - W (c + s (c* - c))||².

    Args:
        source, destination: (tokens, width). A preserved token has the same row in both.
        strength, weight: (tokens,)
    """

    source: torch.Tensor
    destination: torch.Tensor
    strength: torch.Tensor
    weight: torch.Tensor

    @classmethod
    def of(cls, source: torch.Tensor, destination: torch.Tensor, strength: float = 1.0, weight: float = 1.0) -> Columns:
        """Columns that share one strength and one weight."""
        ones = torch.ones(len(source), dtype=torch.float64)
        return cls(source, destination, ones * strength, ones * weight)

    @classmethod
    def joined(cls, parts: list[Columns]) -> Columns:
        """All parts below each other."""
        names = ("source", "destination", "strength", "weight")
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in names))

    def __len__(self) -> int:
        return len(self.source)

    @property
    def width(self) -> int:
        """d, the width of a text embedding."""
        return self.source.shape[1]

    def shift(self, start: int = 0, stop: int | None = None) -> torch.Tensor:
        """s (c* - c) of the rows from ``start`` to ``stop``: (rows, width), float64."""
        rows = slice(start, stop)
        return self.strength[rows, None] * (self.destination[rows].double() - self.source[rows].double())

    def merged(self) -> Columns:
        """Tokens with bit-equal embeddings as one: the same problem with fewer columns.

        k equal sources with weights w_i and targets t_i are one source with weight sum w_i and the weighted mean target.
        """
        first, group = _equal_rows(self.source)
        if len(first) == len(self):
            return self
        total = torch.zeros(len(first), dtype=torch.float64).index_add_(0, group, self.weight)
        mean = torch.zeros(len(first), self.width, dtype=torch.float64)
        mean.index_add_(0, group, self.shift() * self.weight[:, None])
        source = self.source[first].double()
        return Columns(source, source + mean / total[:, None], torch.ones_like(total), total)


def _equal_rows(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Index of the first row of each group of bit-equal rows, in order of appearance, and every row's group number."""
    generator = torch.Generator().manual_seed(0)
    bits = rows.float().contiguous().view(torch.int32) if rows.dtype != torch.float64 else rows.contiguous().view(torch.int64)
    odd = torch.randint(-(2**62), 2**62, (bits.shape[1],), generator=generator) * 2 + 1
    keys = torch.cat([(part.long() * odd).sum(dim=1) for part in bits.split(4096)])  # wraps around, so it is exact
    _, group = torch.unique(keys, return_inverse=True)
    positions = torch.arange(len(rows))
    first = torch.full((int(group.max()) + 1,), len(rows)).scatter_reduce(0, group, positions, "amin")
    order = first.argsort()
    first, group = first[order], order.argsort()[group]
    if not torch.equal(rows[first][group], rows):  # two different rows with one key; has not been seen
        return positions, positions
    return first, group


def positions_of(prompt: EncodedPrompt, positions: str) -> list[int]:
    """The positions of a prompt that take part in an edit.

    Args:
        prompt: the prompt.
        positions: "all", as TIME has it, less the padding that some hosts fill with zeros, which every map leaves at zero; or
            "words": the words and the end token behind them, without the padding, which is nearly the same for every prompt,
            so that edits of it reach them all.
    """
    if positions == "all":
        return prompt.embeddings.any(dim=1).nonzero().flatten().tolist()
    ends = [chunk.words.stop for chunk in prompt.chunks if chunk.words.stop < chunk.stop]
    return sorted({*prompt.words, *ends})


def preserved_tokens(prompts: Iterable[EncodedPrompt]) -> torch.Tensor:
    """The distinct tokens of prompts that must not change, (tokens, width) in float64.

    Raises:
        EditError: an embedding is not finite.
    """
    rows = torch.cat([prompt.embeddings for prompt in prompts])
    check_finite(rows)
    return rows[_equal_rows(rows)[0]].double()


def check_finite(embeddings: torch.Tensor) -> None:
    """Raise :class:`EditError` unless every number is finite."""
    if not embeddings.isfinite().all():
        raise EditError("The text encoder gave numbers that are not finite; load it in another precision.")


def columns_of(recipe: Recipe, encoded: Mapping[str, EncodedPrompt], positions: str = "all") -> Columns:
    """The recipe's pairs in all their sentences, and its preserved prompts, as columns.

    Args:
        recipe: what is asked; pairs of strength 0 are left out.
        encoded: an encoded prompt for every text of ``recipe.prompts()``.
        positions: see :func:`positions_of`.

    Raises:
        EditError: an embedding is not finite, no pair is switched on, or one differs only in what its encoder does not read.
    """
    parts = []
    for pair in recipe.active:
        source, destination = encoded[pair.source], encoded[pair.destination]
        if source.tokens == destination.tokens:
            check_read(pair.source, pair.destination, destination.cut or source.cut, len(source.tokens))
        for source_text, destination_text in pair.sentences():
            source, destination = encoded[source_text], encoded[destination_text]
            chosen = positions_of(source, positions)
            partner = align(source, destination)
            answers = [partner[position] for position in chosen]
            parts.append(Columns.of(source.embeddings[chosen], destination.embeddings[answers], pair.strength, pair.weight))
    if not parts:
        raise EditError("Every edit of the recipe has strength 0, so nothing would change; raise a strength.")
    for prompt in recipe.kept:
        kept = encoded[prompt].embeddings[positions_of(encoded[prompt], positions)]
        parts.append(Columns.of(kept, kept))
    columns = Columns.joined(parts)
    check_finite(columns.source)
    check_finite(columns.destination)
    return columns
