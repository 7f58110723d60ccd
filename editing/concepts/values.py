"""Stage one: for each concept the stream that its subject is to have, so that the text says what the destination's says.

EMCID optimises, at the output of the last edited layer, a shift d of the subject's last token. Two teachers say what is right:

* the text: what the encoder makes of the source's sentences, d added, ought to be what it makes of the destination's, token by
  token (:mod:`..alignment`) from the subject on, for these are all that d can reach and all that the diffusion model reads;
* the pictures: with the one text and with the other the diffusion model ought to predict the same noise (a host's ``distill``).

Concepts are independent, so many are optimised in one batch, and each leaves it as soon as it gets no better.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from .keys import device_of
from .sentences import Sentences
from .tower import Tower

_RATES = (0.9, 0.999)
_PATIENCE, _HALVINGS = 6, 3
_BETTER = 0.002

Distill = Callable[[Sentences, torch.Tensor, torch.Tensor, int], torch.Tensor]
"""Sentences, what the diffusion model reads for them, (n, tokens, width), edited and as meant, and the step, to (n,) losses."""


@dataclass(frozen=True)
class ValueSettings:
    """How values are searched for.

    Args:
        steps: at most.
        rate: of Adam, relative to the norm of the stream over the root of its width.
        decay: weight of ||d||² relative to ||stream||².
        clamp: largest ||d|| relative to ||stream||.
        text, noise: weights of the two teachers.
        at_once: concepts in a batch.
    """

    steps: int = 100
    rate: float = 0.1
    decay: float = 1e-3
    clamp: float = 1.5
    text: float = 1.0
    noise: float = 1.0
    at_once: int = 64


@dataclass(frozen=True)
class Values:
    """What was found.

    Args:
        shifts: (concepts, width), by how much each subject's stream after layer ``last`` is to change.
        before, after: (concepts,) the text's loss: squared distance from what is meant, relative to the squared distance
            that there was (1 before).
        steps: (concepts,) how many were taken.
    """

    shifts: torch.Tensor
    before: torch.Tensor
    after: torch.Tensor
    steps: torch.Tensor


def find_values(
    tower: Tower,
    sentences: Sentences,
    last: int,
    settings: ValueSettings = ValueSettings(),
    distill: Distill | None = None,
    advance: Callable[[torch.Tensor, torch.Tensor], None] = lambda done, shifts: None,
) -> Values:
    """Search, batch by batch.

    Args:
        tower: the encoder; its weights are ordinary tensors, not inference tensors.
        sentences: of all concepts.
        last: the last edited layer.
        settings: how.
        distill: the noise teacher; None for the text alone.
        advance: told after each batch which concepts are done (numbers) and their shifts; may raise to stop.
    """
    parts = []
    for concepts in torch.arange(sentences.count).split(settings.at_once):
        found = _search(tower, sentences.of(concepts), last, settings, distill)
        parts.append(found)
        advance(concepts, found.shifts)
    return Values(*(torch.cat([getattr(part, name) for part in parts]) for name in ("shifts", "before", "after", "steps")))


@torch.inference_mode(False)
@torch.enable_grad()
def _search(tower: Tower, sentences: Sentences, last: int, settings: ValueSettings, distill: Distill | None) -> Values:
    device = device_of(tower)
    with torch.no_grad():
        stream = tower.run(tower.embed(sentences.ids.to(device)), 0, last + 1)
        meant = tower.finish(tower.embed(sentences.destination.to(device)), 0)
        target = meant.gather(1, _wide(sentences.answers.to(device), meant))
        asked = _distance(tower.finish(stream, last + 1, sentences.rows.to(device)), target, sentences)
        own = sentences.mean(stream[torch.arange(len(stream)), sentences.subject])
    size = own.norm(dim=1, keepdim=True)
    shift = torch.zeros_like(own)
    memory = torch.zeros(2, *own.shape, device=device)  # Adam's means of the slope and of its square
    taken = torch.zeros(len(own), 1, device=device)  # its steps since it was begun
    rate = torch.full((len(own), 1), settings.rate, device=device) * size / own.shape[1] ** 0.5
    best, best_shift = torch.full((len(own),), torch.inf, device=device), shift.clone()
    before = sentences.mean(asked / asked.clamp(min=1e-12))
    text_at_best = before.clone()
    steps = torch.zeros(len(own), dtype=torch.long)
    waited = torch.zeros(len(own), dtype=torch.long, device=device)
    halved = waited.clone()
    active = torch.arange(len(own))
    for step in range(settings.steps + 1):
        part, here = sentences.of(active), active.to(device)
        rows = torch.isin(sentences.concept, active)
        trial = shift[here].clone().requires_grad_(True)
        moved = _moved(stream[rows], part, trial)
        text = _distance(tower.finish(moved, last + 1, part.rows.to(device)), target[rows], part)
        text = part.mean(text / asked[rows].clamp(min=1e-12))
        loss = settings.text * text + settings.decay * (trial.square().sum(1) / size[here, 0].square())
        if distill is not None and settings.noise:
            loss = loss + settings.noise * part.mean(distill(part, tower.finish(moved, last + 1), meant[rows], step))
        (slope,) = torch.autograd.grad(loss.sum(), trial)
        with torch.no_grad():
            waited[here] = torch.where(loss < best[here] * (1 - _BETTER), 0, waited[here] + 1)
            lower = loss < best[here]
            best[here] = torch.where(lower, loss, best[here])
            best_shift[here] = torch.where(lower[:, None], trial, best_shift[here])
            text_at_best[here] = torch.where(lower, text, text_at_best[here])
            steps[active] = step
            taken[here] += 1
            for place, value in enumerate((slope, slope.square())):
                memory[place, here] = torch.lerp(value, memory[place, here], _RATES[place])
            mean, square = (memory[place, here] / (1 - _RATES[place] ** taken[here]) for place in (0, 1))
            new = trial - rate[here] * mean / (square.sqrt() + 1e-12)
            shift[here] = new * (settings.clamp * size[here] / new.norm(dim=1, keepdim=True).clamp(min=1e-12)).clamp(max=1)
            # What gets no better goes on from its best in steps of half the size, and in the end no more.
            stuck = waited >= _PATIENCE
            shift[stuck], memory[:, stuck], taken[stuck], waited[stuck] = best_shift[stuck], 0, 0, 0
            rate[stuck] /= 2
            halved[stuck] += 1
            active = active[(halved[here] <= _HALVINGS).cpu()]
        if not len(active):
            break
    return Values(best_shift.double().cpu(), before.cpu(), text_at_best.cpu(), steps)


def _moved(stream: torch.Tensor, sentences: Sentences, shift: torch.Tensor) -> torch.Tensor:
    """The stream with each concept's shift added at its subject."""
    places = torch.zeros(stream.shape[:2], device=stream.device)
    places[torch.arange(len(stream)), sentences.subject] = 1
    return stream + places[..., None] * shift[sentences.concept.to(shift.device)][:, None]


def _distance(found: torch.Tensor, target: torch.Tensor, sentences: Sentences) -> torch.Tensor:
    """(n,) squared distance over the compared tokens."""
    return ((found - target).square().sum(2) * sentences.weight.to(found)).sum(1)


def _wide(places: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return places[..., None].expand(-1, -1, like.shape[2])
