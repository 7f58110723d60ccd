"""Text encoders that a diffusion model reads side by side (SDXL): while one is searched, the others say what is meant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from .concept_recipe import ConceptRecipe
from .keys import device_of
from .sentences import Sentences, sentences_of
from .text_encoder import TextEncoder
from .tower import Tower
from .values import Distill, turns_of


class _Other:
    """Another encoder's part of what the diffusion model reads, as meant; of one batch of concepts at a time."""

    def __init__(self, tower: Tower, sentences: Sentences) -> None:
        self.tower, self.sentences = tower, sentences
        self._known: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    @torch.no_grad()
    def _learn(self, origins: torch.Tensor) -> None:
        part = self.sentences.of(origins)
        meant = self.tower.finish(self.tower.embed(part.destination.to(device_of(self.tower))), 0)
        placed = meant.gather(1, part.partner.to(meant.device)[..., None].expand(-1, -1, meant.shape[2]))
        self._known = {
            origin: (placed[part.concept == number], meant[part.concept == number])
            for number, origin in enumerate(origins.tolist())
        }

    def parts(self, origins: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """For the source's positions, and for the destination's: (n, tokens, width)."""
        if any(origin not in self._known for origin in origins.tolist()):
            self._learn(origins)
        placed, meant = zip(*(self._known[origin] for origin in origins.tolist()), strict=True)
        return torch.cat(placed), torch.cat(meant)


class _Beside:
    """A ``distill`` for one encoder, by one that reads all of them."""

    def __init__(self, distill: Distill, others: Sequence[_Other | None]) -> None:
        self.distill, self.others, self.turns = distill, others, turns_of(distill)

    def __call__(self, sentences: Sentences, edited: torch.Tensor, meant: torch.Tensor, step: int) -> torch.Tensor:
        parts = [(edited, meant) if other is None else other.parts(sentences.origin) for other in self.others]
        placed, wanted = (torch.cat([entry.to(edited.device) for entry in side], dim=2) for side in zip(*parts, strict=True))
        return self.distill(sentences, placed, wanted, step)


def each_beside(
    teacher: Callable[[], Distill], encoders: Sequence[TextEncoder], recipe: ConceptRecipe
) -> Mapping[str, Distill]:
    """For each encoder a ``distill`` of its own.

    Args:
        teacher: makes one that reads all encoders' numbers of a token, in their order; called for each encoder, because a
            teacher remembers where its concepts began, which is elsewhere for another encoder.
        encoders: of the model; their tokenizers cut sentences alike.
        recipe: what is asked.
    """
    if len(encoders) == 1:
        return {encoders[0].name: teacher()}
    others = [_Other(entry.tower, sentences_of(recipe.searched, entry.tokenize, recipe.templates)) for entry in encoders]
    return {
        encoder.name: _Beside(teacher(), [None if other is own else other for other in others])
        for encoder, own in zip(encoders, others, strict=True)
    }
