"""The noise teacher of stage one: with the edited text the diffusion model ought to predict what it does with the meant one.

For latents x of pictures of the destination, noise e at some point of the schedule, and the diffusion model's prediction f,

    ||f(x_t, edited) - f(x_t, meant)||² / ||f(x_t, source) - f(x_t, meant)||²

which is 1 before the edit and 0 where nothing can be told apart (EMCID's distillation loss, relative to where it begins). Each
sentence has a few noises and points of the schedule of its own, which take turns: so many that the value is not for them alone,
so few that what the meant text predicts is asked for once. A concept's value does not depend on which others are beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from .sentences import Sentences

Predict = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Clean latents and noise, (n, …), points of the schedule, (n,) from 0 (clean) to 1 (noise alone), and contexts, (n, tokens,
width), to the diffusion model's predictions, (n, …); differentiable with respect to the contexts."""

_CLEANEST = 0.2


class NoiseTeacher:
    """A ``distill`` for :func:`~.values.find_values`.

    Args:
        predict: the diffusion model.
        pictures: for each concept, by its number, (p, …) latents of pictures of its destination.
        templates: how many sentences a concept has.
        seed: of the noise; one that its place among the concepts is added to, or one for each concept.
        rounds: noises for each sentence.
    """

    def __init__(
        self,
        predict: Predict,
        pictures: Sequence[torch.Tensor],
        templates: int,
        seed: int | Sequence[int] = 0,
        rounds: int = 8,
    ) -> None:
        self.predict, self.pictures, self.templates, self.rounds = predict, pictures, templates, rounds
        self.seeds = [seed * 1_000_003 + place for place in range(len(pictures))] if isinstance(seed, int) else seed
        self._source: dict[int, torch.Tensor] = {}
        self._known: dict[tuple[int, int], tuple[torch.Tensor, torch.Tensor]] = {}

    def _draw(self, origin: int, turn: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Clean latents, noises and points for a concept's sentences."""
        generator = torch.Generator().manual_seed(self.seeds[origin])
        count, ours = self.templates * self.rounds, slice(turn * self.templates, (turn + 1) * self.templates)
        clean = self.pictures[origin][torch.arange(count) % len(self.pictures[origin])]
        noise = torch.randn(clean.shape, generator=generator)
        points = (torch.randperm(count, generator=generator) + torch.rand(count, generator=generator)) / count
        return clean[ours], noise[ours], _CLEANEST + (1 - _CLEANEST) * points[ours]

    def _predictions(self, sentences: Sentences, contexts: torch.Tensor, turn: int) -> list[torch.Tensor]:
        """For each concept, (its sentences, numbers)."""
        drawn = [self._draw(origin, turn) for origin in sentences.origin.tolist()]
        clean, noise, points = (torch.cat(parts).to(contexts.device) for parts in zip(*drawn, strict=True))
        return list(self.predict(clean, noise, points, contexts).flatten(1).split(self.templates))

    def _learn(self, sentences: Sentences, edited: torch.Tensor, meant: torch.Tensor, turn: int) -> None:
        """What the meant text predicts in this turn, and how far from it the source is."""
        origins = sentences.origin.tolist()
        for origin, rows in zip(origins, edited.detach().split(self.templates), strict=True):
            self._source.setdefault(origin, rows)
        if all((origin, turn) in self._known for origin in origins):
            return
        with torch.no_grad():
            theirs = self._predictions(sentences, meant, turn)
            before = self._predictions(sentences, torch.cat([self._source[origin] for origin in origins]), turn)
        for origin, right, begun in zip(origins, theirs, before, strict=True):
            self._known[origin, turn] = right, (begun - right).square().sum(1).mean().clamp(min=1e-12)

    def __call__(self, sentences: Sentences, edited: torch.Tensor, meant: torch.Tensor, step: int) -> torch.Tensor:
        """(n,) losses; at its first call for a concept ``edited`` is not edited yet."""
        turn = step % self.rounds
        self._learn(sentences, edited, meant, turn)
        losses = []
        for origin, found in zip(sentences.origin.tolist(), self._predictions(sentences, edited, turn), strict=True):
            right, begun = self._known[origin, turn]
            losses.append((found - right).square().sum(1) / begun)
        return torch.cat(losses)
