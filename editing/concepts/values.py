"""Stage one: for each concept the stream that its subject is to have, so that the text says what the destination's says.

EMCID optimises, at the output of the last edited layer, a shift d of the subject's last token. Two teachers say what is right:

* the text: what the encoder makes of the source's sentences, d added, ought to be what it makes of the destination's, token by
  token (:mod:`..alignment`) from the subject on, for these are all that d can reach and all that the diffusion model reads;
* the diffusion model (a host's ``distill``): with the one text and with the other its cross-attention layers ought to hand on
  the same (:mod:`.attention`), or the whole of it ought to predict the same noise (:mod:`.noise`).

Concepts are independent, so many are optimised in one batch, and each leaves it as soon as it gets no better.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from .keys import device_of
from .sentences import Sentences
from .tower import Tower
from .value_file import Value, ValueStore

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
        text, model: weights of the two teachers.
        smooth: share of a loss's running mean that each step leaves, for a teacher whose losses take turns.
        at_once: concepts in a batch.
    """

    steps: int = 100
    rate: float = 0.2
    decay: float = 0.003
    clamp: float = 3.0
    text: float = 1.0
    model: float = 1.0
    smooth: float = 0.0
    at_once: int = 64

    @classmethod
    def for_mode(cls, mode: str) -> ValueSettings:
        """What suits a recipe's mode; a batch is as large as what it asks allows."""
        if mode == "attention":
            return cls(rate=0.3, text=0.1, at_once=16)
        return cls(steps=80, text=0.1, smooth=0.9, at_once=4) if mode == "full" else cls()


@dataclass(frozen=True)
class Values:
    """What was found.

    Args:
        shifts: (concepts, width), by how much each subject's stream after layer ``last`` is to change.
        before, after: (concepts,) the loss that decides, the diffusion model's where it is asked and else the text's: squared
            distance from what is meant, relative to the squared distance that there was (1 before, 0 where there was none).
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
    advance: Callable[[int], None] = lambda done: None,
    store: ValueStore | None = None,
) -> Values:
    """Search, batch by batch, for those that are not known yet.

    Args:
        tower: the encoder; its weights are ordinary tensors, not inference tensors.
        sentences: of all concepts.
        last: the last edited layer.
        settings: how.
        distill: the diffusion model's part; None for the text alone.
        advance: told at each step how many concepts are done; may raise to stop.
        store: keeps each concept's value as soon as it is found.
    """
    sentences = sentences.cut()
    store = store or ValueStore(None, [""] * sentences.count)
    missing = torch.tensor([number for number in range(sentences.count) if number not in store.known], dtype=torch.long)
    for concepts in missing.split(settings.at_once) if len(missing) else ():
        numbers = concepts.tolist()
        _search(
            tower, sentences.of(concepts), last, settings, distill, lambda: advance(len(store.known)),
            lambda place, value, numbers=numbers: store.put(numbers[place], value),
        )  # fmt: skip
    advance(len(store.known))
    found = [store.known[number] for number in range(sentences.count)]
    return Values(
        torch.stack([value.shift for value in found]),
        *(torch.tensor([getattr(value, name) for value in found]) for name in ("before", "after", "steps")),
    )


Search = Callable[[Tower, Sentences, int, ValueSettings, Distill | None, Callable[[int], None], ValueStore], Values]
"""What :func:`find_values` does, with its arguments in their order."""


@torch.inference_mode(False)
@torch.enable_grad()
def _search(
    tower: Tower, sentences: Sentences, last: int, settings: ValueSettings, distill: Distill | None,
    advance: Callable[[], None], found: Callable[[int, Value], None],
) -> None:  # fmt: skip
    """``found`` is told each concept's value as soon as it gets no better."""
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
    told_at_best = before.clone()
    smooth = torch.full_like(best, torch.nan)
    steps = torch.zeros(len(own), dtype=torch.long)
    waited = torch.zeros(len(own), dtype=torch.long, device=device)
    halved = waited.clone()
    active = torch.arange(len(own))
    teaching = distill is not None and settings.model

    def done(places: torch.Tensor) -> None:
        for place in places.tolist():
            shift_found = best_shift[place].double().cpu()
            found(place, Value(shift_found, float(before[place]), float(told_at_best[place]), int(steps[place])))

    for step in range(settings.steps + 1):
        advance()
        part, here = sentences.of(active), active.to(device)
        rows = torch.isin(sentences.concept, active)
        trial = shift[here].clone().requires_grad_(True)
        moved = _moved(stream[rows], part, trial)
        compared = part.rows.to(device)
        contexts = tower.finish(moved, last + 1, None if teaching else compared)
        said = contexts.gather(1, _wide(compared, contexts)) if teaching else contexts
        text = part.mean(_distance(said, target[rows], part) / asked[rows].clamp(min=1e-12))
        told = text
        loss = settings.text * text + settings.decay * (trial.square().sum(1) / size[here, 0].square())
        if teaching:
            told = part.mean(distill(part, part.whole(contexts), part.whole(meant[rows]), step))
            loss = loss + settings.model * told
        (slope,) = torch.autograd.grad(loss.sum(), trial)
        with torch.no_grad():
            # Where a teacher's losses take turns, what counts is their running mean.
            smooth[here] = torch.where(smooth[here].isnan(), loss, torch.lerp(loss, smooth[here], settings.smooth))
            waited[here] = torch.where(smooth[here] < best[here] * (1 - _BETTER), 0, waited[here] + 1)
            lower = smooth[here] < best[here]
            best[here] = torch.where(lower, smooth[here], best[here])
            best_shift[here] = torch.where(lower[:, None], trial, best_shift[here])
            told_at_best[here] = torch.where(lower, told, told_at_best[here])
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
            better = (halved[here] <= _HALVINGS).cpu()
            done(active[~better])
            active = active[better]
        if not len(active):
            break
    done(active)


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
