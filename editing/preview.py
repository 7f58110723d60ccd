"""What can be known of any edit before a picture is drawn: which token becomes which, what it reaches, how large it is."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .alignment import align
from .encoding import EncodedPrompt
from .wording import end_only_remark, percent

LEAK = 0.3
"""Reach of an unrelated prompt, beside that of the edit's own sources, above which its pictures are expected to change."""


@dataclass(frozen=True)
class Aligned:
    """A pair of the recipe, word by word.

    Args:
        source, destination: the prompts.
        words: (source token, the destination token whose meaning it takes), tokens as people write them.
    """

    source: str
    destination: str
    words: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Preview:
    """An edit from its embeddings alone.

    Args:
        aligned: the pairs that are switched on.
        sources, related, unrelated: prompt to reach (:func:`~.assumptions.reach.reach`),
            of the edit's own sources and of prompts to try.
        spectrum: singular values, falling.
        spectrum_of: what they are of.
        end_only: sources of which no word moves (:mod:`.assumptions.end_only`).
    """

    aligned: tuple[Aligned, ...]
    sources: dict[str, float]
    related: dict[str, float]
    unrelated: dict[str, float]
    spectrum: torch.Tensor
    spectrum_of: str = "M - I"
    end_only: tuple[str, ...] = ()

    @property
    def limit(self) -> float:
        """Reach above which an unrelated prompt is said to change."""
        return LEAK * max(self.sources.values())

    @property
    def leaking(self) -> list[str]:
        """Unrelated prompts that will change."""
        return [prompt for prompt, amount in self.unrelated.items() if amount > self.limit]

    def text(self) -> str:
        """The numbers, line by line."""
        lines = [f"{pair.source} → {pair.destination or '(forgotten)'}" for pair in self.aligned]
        if self.end_only:
            lines.append(end_only_remark(self.end_only))
        groups = (("source", self.sources), ("related", self.related), ("unrelated", self.unrelated))
        for name, entries in groups:
            lines += [f"{name}: {prompt}: words move by {percent(amount)}" for prompt, amount in entries.items()]
        lines.append(f"rank {len(self.spectrum)}, largest singular value of {self.spectrum_of} {float(self.spectrum[0]):.2g}")
        if self.leaking:
            lines.append(
                f"Warning: {', '.join(f'“{prompt}”' for prompt in self.leaking)} will change; "
                "raise the regularization or preserve what must stay."
            )
        return "\n".join(lines)


def plain(token: str) -> str:
    """A token as people write it."""
    return {"<|startoftext|>": "(start)", "<|endoftext|>": "(end)", "</s>": "(end)", "<pad>": "(pad)"}.get(
        token, token.removesuffix("</w>").lstrip("▁Ġ")
    )


def aligned(source: str, destination: str, theirs: EncodedPrompt, meant: EncodedPrompt) -> Aligned:
    """Two prompts with their tokens, word by word."""
    partner = align(theirs, meant)
    ends = [chunk.words.stop for chunk in theirs.chunks if chunk.words.stop < chunk.stop]
    shown = sorted({*theirs.words, *ends})
    words = tuple((plain(theirs.tokens[place]), plain(meant.tokens[partner[place]])) for place in shown)
    return Aligned(source, destination, words)
