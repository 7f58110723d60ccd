"""What is edited at a size: random prompts, projections and second moments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch

from ...editing.assumptions.prompt_pair import PromptPair
from ...editing.assumptions.recipe import Recipe
from ...editing.encoding import Chunk, EncodedPrompt
from .model_sizes import WINDOW, Matrices, ModelSize


def _random(seed: int, device: str, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device)


def weight_of(matrices: Matrices, device: str) -> torch.Tensor:
    """One of them, (out, width)."""
    return _random(1, device, matrices.out, matrices.width) / matrices.width**0.5


def moment_of(width: int, device: str) -> torch.Tensor:
    """A second moment that has an inverse, (width, width), float64."""
    rows = _random(3, device, 2 * width, width)
    return (rows.T @ rows / len(rows)).double()


@dataclass(frozen=True)
class Problem:
    """Some pairs at a size, each in one sentence.

    Args:
        size: of the model.
        pairs: how many.
        device: where embeddings and weights are.
        moment: of the tokens, (width, width).
    """

    size: ModelSize
    pairs: int
    device: str
    moment: torch.Tensor

    @cached_property
    def recipe(self) -> Recipe:
        """With the default settings; the pooled embedding is edited too where a projection reads it."""
        texts = [(f"a thing number {number}", f"a blue thing number {number}") for number in range(self.pairs)]
        pairs = tuple(PromptPair(source, destination, augmentations=()) for source, destination in texts)
        return Recipe(pairs, pooled=self.size.pooled_width > 0)

    @cached_property
    def encoded(self) -> Mapping[str, EncodedPrompt]:
        """Every token a random row of its own but for the start token, which all prompts share, as in CLIP."""
        texts = [text for pair in self.recipe.pairs for text in (pair.source, pair.destination)]
        rows = _random(2, self.device, len(texts), WINDOW, self.size.width)
        rows[:, 0] = rows[0, 0].clone()
        pooled = _random(4, self.device, len(texts), self.size.pooled_width)
        prompts = {}
        for text, embeddings, one in zip(texts, rows, pooled, strict=True):
            words = text.split()
            tokens = ("<start>", *words, *["<end>"] * (WINDOW - 1 - len(words)))
            chunks = (Chunk(0, range(1, 1 + len(words)), WINDOW),)
            prompts[text] = EncodedPrompt(tokens, chunks, embeddings, one if len(one) else None)
        return prompts

    def last_words(self, pooled: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """What UCE edits, of sources and destinations: the last word's row, or the pooled embedding; (pairs, width) each."""

        def row(text: str) -> torch.Tensor:
            prompt = self.encoded[text]
            if not pooled:
                return prompt.embeddings[prompt.words[-1]]
            if prompt.pooled is None:
                raise ValueError("this size has no pooled embedding")
            return prompt.pooled

        sources, destinations = zip(*((row(pair.source), row(pair.destination)) for pair in self.recipe.pairs), strict=True)
        return torch.stack(sources), torch.stack(destinations)
