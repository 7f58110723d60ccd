"""Pairs that move the end of a prompt and none of its words, as attributes behind the noun do in a causal text encoder.

Such an encoder reads a word before what follows it: “rose” is the same in “a rose” and in “a rose in the snow”.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch

from ..alignment import align
from ..encoding import EncodedPrompt
from .prompt_pair import PromptPair

_STILL = 0.01
"""Relative change below which words count as unmoved. One prompt encoded in two batches differs by 0.001 in half precision."""


def end_only_sources(pairs: Iterable[PromptPair], encoded: Mapping[str, EncodedPrompt]) -> tuple[str, ...]:
    """The sources of which no word is to move, though their end tokens or padding are.

    Args:
        pairs: what is asked.
        encoded: every pair's source and destination to its encoded prompt.
    """
    chosen = [pair for pair in pairs if _moves_end_only(encoded[pair.source], encoded[pair.destination])]
    return tuple(dict.fromkeys(pair.source for pair in chosen))


def _moves_end_only(source: EncodedPrompt, destination: EncodedPrompt) -> bool:
    partner = align(source, destination)
    words = source.words
    rest = sorted(set(range(len(source.tokens))) - set(words))

    def change(rows: list[int]) -> float:  # nan of no rows, which is neither small nor large
        before, after = source.embeddings[rows], destination.embeddings[[partner[row] for row in rows]]
        return float(torch.linalg.vector_norm(after - before) / torch.linalg.vector_norm(before))

    return change(words) < _STILL < change(rest)
