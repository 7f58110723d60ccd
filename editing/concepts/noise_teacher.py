"""The noise teacher of stage one: with the edited text the diffusion model ought to predict what it does with the meant one.

For latents x of pictures of the destination, noise e at some point of the schedule, and the diffusion model's prediction f,

    ||f(x_t, edited) - f(x_t, meant)||² / ||f(x_t, source) - f(x_t, meant)||²

the mean over noises and points, which is 1 before the edit and 0 where nothing can be told apart (EMCID's distillation loss,
relative to where it begins). Each sentence has a few noises and points of its own, which take turns: so many that the value
is not for them alone, so few that what the meant text predicts is asked for once. All turns share one scale, so that those
count for more in which the text says more. The points lie in the schedule's noisier half, where it is decided what a picture
shows (EMCID draws them from all of it). A concept's value does not depend on which others are beside it.

Where a concept means the user's own pictures, the noise itself is right, as in training (EMCID's ``use_sampled_noise``). Most
of what a prediction lacks no text can help, so what the source lacks counts as 1, and the scale stays what the text says:

    1 + (||f(x_t, edited) - e||² - ||f(x_t, source) - e||²) / ||f(x_t, source) - f(x_t, meant)||²

Where no destination leads there, the lead is by such noises, too, new ones at every step.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import torch

from .sentences import Sentences
from .values import Distill

Predict = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Clean latents and noise, (n, …), points of the schedule, (n,) from 0 (clean) to 1 (noise alone), and contexts, (n, tokens,
width), to the diffusion model's predictions, (n, …); differentiable with respect to the contexts."""

Truth = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Clean latents, noise and points, as :data:`Predict` takes them, to what the diffusion model ought to have predicted."""

_CLEANEST = 0.5
"""The points begin in the middle of the schedule: in its noisier half it is decided what a picture shows."""
_ANOTHER = 104_729
"""Added to a seed for other noises."""


class NoiseTeacher:
    """A ``distill`` for :func:`~.values.find_values`.

    Args:
        predict: the diffusion model.
        pictures: for each concept, by its number, (p, …) latents of pictures of its destination.
        templates: how many sentences a concept has.
        lead: what is asked in the lead, at steps below 0.
        seed: of the noise; one that its place among the concepts is added to, or one for each concept.
        turns: noises for each sentence.
        truth: for the concepts that ``own`` names by their numbers, whose pictures say what is meant.
    """

    def __init__(
        self,
        predict: Predict,
        pictures: Sequence[torch.Tensor],
        templates: int,
        lead: Distill,
        seed: int | Sequence[int] = 0,
        turns: int = 8,
        truth: Truth | None = None,
        own: Collection[int] = (),
    ) -> None:
        self.predict, self.pictures, self.templates, self.lead, self.turns = predict, pictures, templates, lead, turns
        self.seeds = [seed * 1_000_003 + place for place in range(len(pictures))] if isinstance(seed, int) else seed
        self.truth, self.own = truth, frozenset(own)
        self._known: dict[int, tuple[list[torch.Tensor], torch.Tensor]] = {}
        self._begun: dict[int, list[torch.Tensor]] = {}

    def _draw(self, origin: int, turn: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Clean latents, noises and points for a concept's sentences; others before turn 0."""
        before, turn = -(turn // self.turns), turn % self.turns
        generator = torch.Generator().manual_seed(self.seeds[origin] + _ANOTHER * before)
        count, ours = self.templates * self.turns, slice(turn * self.templates, (turn + 1) * self.templates)
        clean = self.pictures[origin][torch.arange(count) % len(self.pictures[origin])]
        noise = torch.randn(clean.shape, generator=generator)
        points = (torch.randperm(count, generator=generator) + torch.rand(count, generator=generator)) / count
        return clean[ours], noise[ours], _CLEANEST + (1 - _CLEANEST) * points[ours]

    def _predictions(self, origins: Sequence[int], contexts: torch.Tensor, turn: int) -> list[torch.Tensor]:
        """For each concept, (its sentences, numbers)."""
        drawn = [self._draw(origin, turn) for origin in origins]
        clean, noise, points = (torch.cat(parts).to(contexts.device) for parts in zip(*drawn, strict=True))
        return list(self.predict(clean, noise, points, contexts).flatten(1).split(self.templates))

    def _true(self, origin: int, turn: int, like: torch.Tensor) -> torch.Tensor:
        """What is right of a concept of the user's pictures: (its sentences, numbers)."""
        if self.truth is None:
            raise ValueError("pictures of the user's own need to be told what is right")
        return self.truth(*(part.to(like.device) for part in self._draw(origin, turn))).flatten(1).to(like)

    @torch.no_grad()
    def _learn(self, origins: Sequence[int], source: torch.Tensor, meant: torch.Tensor) -> None:
        """What the meant text predicts in every turn, and how far from it the source is in all; of this batch alone."""
        right: list[list[torch.Tensor]] = []
        apart: list[torch.Tensor] = []
        wrong: dict[int, list[torch.Tensor]] = {origin: [] for origin in self.own.intersection(origins)}
        for turn in range(self.turns):
            right.append(self._predictions(origins, meant, turn))
            begun = self._predictions(origins, source, turn)
            apart.append(torch.stack([_apart(one, other).mean() for one, other in zip(begun, right[-1], strict=True)]))
            for origin, errors in wrong.items():
                place = origins.index(origin)
                right[-1][place] = self._true(origin, turn, begun[place])
                errors.append(_apart(begun[place], right[-1][place]))
        scales = torch.stack(apart).mean(0).clamp(min=1e-12)
        self._begun = wrong
        turns = [[turn[place] for turn in right] for place in range(len(origins))]
        self._known = dict(zip(origins, zip(turns, scales, strict=True), strict=True))

    def __call__(self, sentences: Sentences, edited: torch.Tensor, meant: torch.Tensor, step: int) -> torch.Tensor:
        """(n,) losses; at its first call for a concept ``edited`` is not edited yet."""
        if step < 0:
            return self._leading(sentences, edited, meant, step)
        origins, turn = sentences.origin.tolist(), step % self.turns
        if any(origin not in self._known for origin in origins):
            self._learn(origins, edited.detach(), meant)
        losses = []
        for origin, predicted in zip(origins, self._predictions(origins, edited, turn), strict=True):
            right, scale = self._known[origin]
            loss = _apart(predicted, right[turn]) / scale
            losses.append(1 + loss - self._begun[origin][turn] / scale if origin in self.own else loss)
        return torch.cat(losses)

    def _leading(self, sentences: Sentences, edited: torch.Tensor, meant: torch.Tensor, step: int) -> torch.Tensor:
        """(n,) losses in the lead: of those that no text tells, by noises."""
        if sentences.told.all():
            return self.lead(sentences, edited, meant, step)
        rows = sentences.told[sentences.concept].to(edited.device)
        losses = edited.new_zeros(len(edited))
        if sentences.told.any():
            part = sentences.of(sentences.told.nonzero()[:, 0])
            losses = losses.masked_scatter(rows, self.lead(part, edited[rows], meant[rows], step))
        origins = sentences.origin[~sentences.told].tolist()
        predicted = self._predictions(origins, edited[~rows], step)
        untold = [
            _apart(own, self._true(origin, step, own)) / self._known[origin][1]
            for origin, own in zip(origins, predicted, strict=True)
        ]
        return losses.masked_scatter(~rows, torch.cat(untold))


def _apart(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """(n,) squared distances."""
    return (one - other).square().sum(1)
