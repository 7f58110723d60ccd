"""The columns of the least-squares problem: each source token beside what it should become.

The papers write embeddings as columns; here every token is a row, (tokens, width), as encoders return them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from ..alignment import align
from ..encoding import EncodedPrompt, check_read
from ..errors import EditError
from .chance_pair import ChancePair
from .prompt_pair import PromptPair
from .recipe import Recipe


@dataclass(frozen=True)
class Columns:
    """Source tokens c, destination tokens c*, strengths s and weights w: minimise sum w ||W' c - W (c + s (c* - c))||².

    Args:
        source: (tokens, width)
        destination: (rows, width), a row for every source token, or as many as ``answers`` choose from. A preserved token has
            the same row in both.
        strength, weight: (tokens,)
        answers: (tokens,), the row of ``destination`` that answers to each source token; None is row by row. With it a
            sentence's columns are views of its embeddings, so that a thousand pairs take no memory of their own.
        pair: the number of the pair that they are of, which is carried by itself (:mod:`.carry`); None for all else.
    """

    source: torch.Tensor
    destination: torch.Tensor
    strength: torch.Tensor
    weight: torch.Tensor
    answers: torch.Tensor | None = None
    pair: int | None = None

    @classmethod
    def of(
        cls,
        source: torch.Tensor,
        destination: torch.Tensor,
        strength: float = 1.0,
        weight: float = 1.0,
        answers: torch.Tensor | None = None,
    ) -> Columns:
        """Columns that share one strength and one weight."""
        ones = torch.ones(len(source), dtype=torch.float64, device=source.device)
        return cls(source, destination, ones * strength, ones * weight, answers)

    @classmethod
    def joined(cls, parts: Sequence[Columns]) -> Columns:
        """All parts below each other."""
        sides = zip(*((part.source, part.targets(), part.strength, part.weight) for part in parts), strict=True)
        source, destination, strength, weight = map(torch.cat, sides)
        return cls(source, destination, strength, weight)

    def __len__(self) -> int:
        return len(self.source)

    @property
    def width(self) -> int:
        """d, the width of a text embedding."""
        return self.source.shape[1]

    def targets(self) -> torch.Tensor:
        """c*: (tokens, width)."""
        return self.destination if self.answers is None else self.destination[self.answers]

    def shift(self) -> torch.Tensor:
        """s (c* - c): (tokens, width), float64."""
        shift = self.targets().double() - self.source.double()
        return shift if (self.strength == 1).all() else shift * self.strength[:, None]


def blocks(parts: Sequence[Columns], rows: int) -> Iterator[Columns]:
    """The same columns in parts of about ``rows`` tokens: small ones joined, large ones cut."""
    waiting: list[Columns] = []
    for part in parts:
        for start in range(0, len(part), rows):
            cut = slice(start, start + rows)
            answers = None if part.answers is None else part.answers[cut]
            destination = part.destination[cut] if part.answers is None else part.destination
            waiting.append(Columns(part.source[cut], destination, part.strength[cut], part.weight[cut], answers))
            if sum(map(len, waiting)) >= rows:
                yield Columns.joined(waiting)
                waiting = []
    if waiting:
        yield Columns.joined(waiting)


def equal_tokens(sources: Sequence[torch.Tensor]) -> tuple[int, torch.Tensor]:
    """How many of the tokens differ, and a number for each, the same for bit-equal ones.

    Args:
        sources: any number of (tokens, width).

    Returns:
        The count, and (all tokens,) of numbers from 0 to below it. Two different tokens have one number by chance alone, with
        a probability of 2^-64.
    """
    # Most tokens differ in a few of their coordinates already; the whole is only looked at where these are equal.
    step = max(1, sources[0].shape[1] // 16)
    keys = torch.cat([_fingerprints(rows[:, ::step]) for rows in sources])
    _, group, count = torch.unique(keys, return_inverse=True, return_counts=True)
    repeated = count[group] > 1
    for rows, keys_of_rows, again in zip(
        sources, keys.split([*map(len, sources)]), repeated.split([*map(len, sources)]), strict=True
    ):
        if again.any():
            keys_of_rows[again] = _fingerprints(rows[again])
    values, group = torch.unique(keys, return_inverse=True)
    return len(values), group


def _fingerprints(rows: torch.Tensor) -> torch.Tensor:
    """A number of 64 bits for every row."""
    generator = torch.Generator().manual_seed(0)
    bits = rows.contiguous().view(torch.int64) if rows.dtype == torch.float64 else rows.float().contiguous().view(torch.int32)
    odd = torch.randint(-(2**62), 2**62, (bits.shape[1],), generator=generator, device=generator.device) * 2 + 1
    odd = odd.to(bits.device)
    return torch.cat([(part.long() * odd).sum(dim=1) for part in bits.split(4096)])  # wraps around, so it is exact


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
    count, group = equal_tokens([rows])
    places = torch.arange(len(rows), device=rows.device)
    first = torch.full((count,), len(rows), device=rows.device).scatter_reduce(0, group, places, "amin")
    return rows[first.sort().values].double()


def check_finite(embeddings: torch.Tensor) -> None:
    """Raise :class:`EditError` unless every number is finite."""
    # A sum is twenty times as fast, and whatever is not finite stays so in it; a sum that is too large says nothing.
    if not embeddings.sum().isfinite() and not embeddings.isfinite().all():
        raise EditError("The text encoder gave numbers that are not finite; load it in another precision.")


def columns_of(recipe: Recipe, encoded: Mapping[str, EncodedPrompt], positions: str = "all") -> Columns:
    """:func:`parts_of` below each other."""
    return Columns.joined(parts_of(recipe, encoded, positions))


def parts_of(recipe: Recipe, encoded: Mapping[str, EncodedPrompt], positions: str = "all") -> list[Columns]:
    """The recipe's pairs in all their sentences, and its preserved prompts, as columns: a part for each sentence.

    Args:
        recipe: what is asked; pairs of strength 0 are left out.
        encoded: an encoded prompt for every text of ``recipe.prompts()``.
        positions: see :func:`positions_of`.

    Raises:
        EditError: an embedding is not finite, no pair is switched on, or one differs only in what its encoder does not read.
    """
    parts = [
        replace(part, pair=number) for number, pair in enumerate(recipe.active) for part in pair_parts(pair, encoded, positions)
    ]
    recipe.check_active()
    return (
        parts
        + [part for chance in recipe.drawn for part in unchanged_parts(chance, encoded, positions, chance.stays)]
        + (kept_parts(recipe, encoded, positions))
    )


def pair_parts(pair: PromptPair, encoded: Mapping[str, EncodedPrompt], positions: str = "all") -> list[Columns]:
    """One pair in all its sentences; for arguments and errors see :func:`parts_of`."""
    source, destination = encoded[pair.source], encoded[pair.destination]
    if source.tokens == destination.tokens:
        check_read(pair.source, pair.destination, destination.cut or source.cut, len(source.tokens))
    parts = []
    for source_text, destination_text in pair.sentences():
        source, destination = encoded[source_text], encoded[destination_text]
        chosen = positions_of(source, positions)
        partner = align(source, destination, pair.in_place)
        answers = torch.tensor([partner[position] for position in chosen], device=destination.embeddings.device)
        rows = _chosen(source, chosen)
        parts.append(Columns.of(rows, destination.embeddings, pair.strength, pair.weight, answers))
    return _finite(parts)


def unchanged_parts(
    chance: ChancePair, encoded: Mapping[str, EncodedPrompt], positions: str = "all", weight: float = 1.0
) -> list[Columns]:
    """A source in all sentences of its pairs, to stay as it is; none where ``weight`` is 0."""
    if not weight:
        return []
    texts = [source for source, _ in chance.pairs()[0].sentences()]
    kept = [_chosen(encoded[text], positions_of(encoded[text], positions)) for text in texts]
    return _finite([Columns.of(rows, rows, chance.strength, weight) for rows in kept])


def kept_parts(recipe: Recipe, encoded: Mapping[str, EncodedPrompt], positions: str = "all") -> list[Columns]:
    """The prompts that a recipe preserves, each to stay as it is."""
    kept = [_chosen(encoded[prompt], positions_of(encoded[prompt], positions)) for prompt in recipe.kept]
    return _finite([Columns.of(rows, rows) for rows in kept])


def _finite(parts: list[Columns]) -> list[Columns]:
    for part in parts:
        check_finite(part.source)
        check_finite(part.destination)
    return parts


def _chosen(prompt: EncodedPrompt, positions: list[int]) -> torch.Tensor:
    """Some rows of a prompt's embeddings: a view where they are all."""
    return prompt.embeddings if len(positions) == len(prompt.tokens) else prompt.embeddings[positions]
