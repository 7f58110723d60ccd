"""Stage one: for each concept the stream that its subject is to have, so that the text says what the destination's says.

EMCID optimises, at the output of the last edited layer, a shift d of the subject's last token. Two teachers say what is right:

* the text: what the encoder makes of the source's sentences, d added, ought to be what it makes of the destination's, token by
  token (:mod:`..alignment`) from the subject on, for these are all that d can reach and all that the diffusion model reads;
* the diffusion model (a host's ``distill``): with the one text and with the other its cross-attention layers ought to hand on
  the same (:mod:`.attention_teacher`), or the whole of it ought to predict the same noise (:mod:`.noise_teacher`).

Concepts are independent, so many are optimised in one batch. Where a loss is the same at every step, each concept leaves the
batch as soon as it gets no better. Where losses take turns, no one of them could choose a value: the rate falls to 0 instead,
the last value counts, and what it leaves undone is the mean over all turns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from .keys import device_of
from .sentences import Sentences
from .tower import Tower
from .value_file import Value, ValueStore

_RATES = (0.9, 0.999)
"""Of the two means: Kingma and Ba's own."""
_PATIENCE, _HALVINGS = 6, 3
_BETTER = 0.002

Distill = Callable[[Sentences, torch.Tensor, torch.Tensor, int], torch.Tensor]
"""Sentences, what the diffusion model reads for them, (n, tokens, width), edited and as meant, and the step, to (n,) losses.

At its first call for a concept nothing is edited yet. Its attribute ``turns``, where it has one, says how many losses
take turns from step 0 on; the steps before that are below 0, and led by a loss that does not.
"""


@dataclass(frozen=True)
class ValueSettings:
    """How values are searched for.

    Args:
        steps: at most.
        rate: of Adam, relative to the norm of the stream over the root of its width.
        decay: weight of ||d||² relative to ||stream||².
        clamp: largest ||d|| relative to ||stream||.
        text, model: weights of the two teachers.
        lead: steps at the beginning, where the diffusion model's losses take turns: by what leads them, which costs less and
            goes most of the way.
        settling: the rate behind the lead. Where losses take turns, this one and that of the lead fall to 0.
        at_once: concepts in a batch.
    """

    steps: int = 100
    rate: float = 0.2
    decay: float = 0.003
    clamp: float = 3.0
    text: float = 1.0
    model: float = 1.0
    lead: int = 0
    settling: float = 0.12
    at_once: int = 64

    @classmethod
    def for_mode(cls, mode: str) -> ValueSettings:
        """What suits a recipe's mode; a batch is as large as what it asks allows."""
        if mode == "attention":
            return cls(rate=0.3, text=0.1, at_once=16)
        return cls(steps=84, rate=0.3, decay=0.02, text=0.1, lead=60, at_once=4) if mode == "full" else cls()


@dataclass(frozen=True)
class Values:
    """What was found.

    Args:
        shifts: (concepts, width), by how much each subject's stream after layer ``last`` is to change.
        before, after: (concepts,) the loss that decides, the diffusion model's where it is asked and else the text's: squared
            distance from what is meant, relative to the squared distance that there was (1 before, 0 where there was none).
            By the user's pictures (:mod:`.noise_teacher`) it can be below 0, and is no measure beside the others.
        steps: (concepts,) how many were taken.
    """

    shifts: torch.Tensor
    before: torch.Tensor
    after: torch.Tensor
    steps: torch.Tensor


def _kept(store: ValueStore, numbers: Sequence[int], place: int, value: Value) -> None:
    """Keep the value of one concept of a batch."""
    store.put(numbers[place], value)


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
    missing = torch.tensor([number for number in range(sentences.count) if number not in store.known])
    for concepts in missing.split(settings.at_once) if len(missing) else ():
        kept = partial(_kept, store, concepts.tolist())
        _search(tower, sentences.of(concepts), last, settings, distill, lambda: advance(len(store.known)), kept)
    advance(len(store.known))
    values = [store.known[number] for number in range(sentences.count)]
    return Values(
        torch.stack([value.shift for value in values]),
        *(torch.tensor([getattr(value, name) for value in values]) for name in ("before", "after", "steps")),
    )


Search = Callable[[Tower, Sentences, int, ValueSettings, Distill | None, Callable[[int], None], ValueStore], Values]
"""What :func:`find_values` does, with its arguments in their order."""


def turns_of(distill: Distill | None) -> int:
    """How many losses of a diffusion model's take turns."""
    return getattr(distill, "turns", 1)


Keep = Callable[[int, Value], None]


@torch.inference_mode(False)
@torch.enable_grad()
def _search(
    tower: Tower, sentences: Sentences, last: int, settings: ValueSettings, distill: Distill | None,
    advance: Callable[[], None], keep: Keep,
) -> None:  # fmt: skip
    """``keep`` is told each concept's value by its place."""
    batch = _Batch(tower, sentences, last, settings, distill if settings.model else None)
    (_descend if turns_of(batch.distill) == 1 else _take_turns)(batch, advance, keep)


class _Batch:
    """Some concepts' stream, and what a shift of it costs."""

    def __init__(self, tower: Tower, sentences: Sentences, last: int, settings: ValueSettings, distill: Distill | None) -> None:
        self.tower, self.sentences, self.last, self.settings, self.distill = tower, sentences, last, settings, distill
        self.device = device_of(tower)
        with torch.no_grad():
            self.stream = tower.run(tower.embed(sentences.ids.to(self.device)), 0, last + 1)
            self.meant = tower.finish(tower.embed(sentences.destination.to(self.device)), 0)
            self.target = self.meant.gather(1, _wide(sentences.answers.to(self.device), self.meant))
            said = tower.finish(self.stream, last + 1, sentences.rows.to(self.device))
            self.begun = _distance(said, self.target, sentences)
            own = sentences.mean(self.stream[torch.arange(len(self.stream)), sentences.subject])
        self.size = own.norm(dim=1, keepdim=True)
        self.before = sentences.mean(self.begun / self.begun.clamp(min=1e-12))
        self.nothing = torch.zeros_like(own)

    def losses(
        self, places: torch.Tensor, trial: torch.Tensor, step: int | None
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
        """What shifts (places, width) of some concepts cost, (places,): by the text, by the diffusion model, by their size.

        The model is asked for its loss at ``step``; None does not ask it.
        """
        part, rows = self.sentences.of(places), torch.isin(self.sentences.concept, places)
        compared = part.rows.to(self.device)
        contexts = self.tower.finish(_moved(self.stream[rows], part, trial), self.last + 1, compared if step is None else None)
        said = contexts if step is None else contexts.gather(1, _wide(compared, contexts))
        text = part.mean(_distance(said, self.target[rows], part) / self.begun[rows].clamp(min=1e-12))
        text = text * part.told.to(text)
        decay = self.settings.decay * trial.square().sum(1) / self.size[places.to(self.device), 0].square()
        if step is None:
            return text, None, decay
        assert self.distill is not None  # which steps are for
        return text, part.mean(self.distill(part, part.whole(contexts), part.whole(self.meant[rows]), step)), decay

    def clamped(self, shift: torch.Tensor, here: torch.Tensor) -> torch.Tensor:
        """The shifts of the concepts ``here``, none longer than it may be."""
        most = self.settings.clamp * self.size[here]
        held: torch.Tensor = shift * (most / shift.norm(dim=1, keepdim=True).clamp(min=1e-12)).clamp(max=1)
        return held


class _Adam:
    """Kingma and Ba's optimiser, of which every concept has a state of its own."""

    def __init__(self, batch: _Batch, rate: float) -> None:
        self.rate = rate * batch.size / batch.nothing.shape[1] ** 0.5
        self.memory = torch.zeros(2, *batch.nothing.shape, device=batch.device)  # means of the slope and of its square
        self.taken = torch.zeros_like(batch.size)

    def step(self, here: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
        """How far the concepts ``here`` are to go against their slope."""
        self.taken[here] += 1
        for place, value in enumerate((slope, slope.square())):
            self.memory[place, here] = torch.lerp(value, self.memory[place, here], _RATES[place])
        mean, square = (self.memory[place, here] / (1 - _RATES[place] ** self.taken[here]) for place in (0, 1))
        step: torch.Tensor = self.rate[here] * mean / (square.sqrt() + 1e-12)
        return step

    def begin_again(self, where: torch.Tensor) -> None:
        """Forget the slopes of some concepts, in steps of half the size."""
        self.memory[:, where], self.taken[where] = 0, 0
        self.rate[where] /= 2


def _descend(batch: _Batch, advance: Callable[[], None], keep: Keep) -> None:
    """By a loss that is the same at every step; a concept is done as soon as it gets no better."""
    settings, count, device = batch.settings, batch.sentences.count, batch.device
    adam, shift = _Adam(batch, settings.rate), batch.nothing.clone()
    best, best_shift = torch.full((count,), torch.finfo(torch.float32).max, device=device), shift.clone()
    decided = batch.before.clone()
    steps = torch.zeros(count, dtype=torch.long)
    waited = torch.zeros(count, dtype=torch.long, device=device)
    halved = waited.clone()
    active = torch.arange(count)

    def done(places: torch.Tensor) -> None:
        for place in places.tolist():
            _tell(keep, batch, place, best_shift, decided, int(steps[place]))

    for step in range(settings.steps + 1):
        advance()
        here = active.to(device)
        trial = shift[here].clone().requires_grad_(True)
        text, model, decay = batch.losses(active, trial, None if batch.distill is None else step)
        loss = settings.text * text + decay
        if model is not None:
            loss = loss + settings.model * model
        (slope,) = torch.autograd.grad(loss.sum(), trial)
        with torch.no_grad():
            waited[here] = torch.where(loss < best[here] - _BETTER * best[here].abs(), 0, waited[here] + 1)
            lower = loss < best[here]
            best[here] = torch.where(lower, loss, best[here])
            best_shift[here] = torch.where(lower[:, None], trial, best_shift[here])
            decided[here] = torch.where(lower, text if model is None else model, decided[here])
            steps[active] = step
            shift[here] = batch.clamped(trial - adam.step(here, slope), here)
            # What gets no better goes on from its best in steps of half the size, and in the end no more.
            stuck = waited >= _PATIENCE
            shift[stuck], waited[stuck] = best_shift[stuck], 0
            adam.begin_again(stuck)
            halved[stuck] += 1
            better = (halved[here] <= _HALVINGS).cpu()
            done(active[~better])
            active = active[better]
        if not len(active):
            break
    done(active)


def _take_turns(batch: _Batch, advance: Callable[[], None], keep: Keep) -> None:
    """By losses that take turns: in the lead and behind it, steps get smaller and smaller."""
    settings = batch.settings
    places = torch.arange(batch.sentences.count)
    here = places.to(batch.device)
    adam, shift = _Adam(batch, settings.rate), batch.nothing
    with torch.no_grad():
        batch.losses(places, shift, 0)  # for the diffusion model to know where the source stands
    for turn in range(-settings.lead, settings.steps - settings.lead):
        advance()
        if turn == 0:
            adam = _Adam(batch, settings.settling)
        trial = shift.clone().requires_grad_(True)
        text, model, decay = batch.losses(places, trial, turn)
        assert model is not None  # asked for at a step
        (slope,) = torch.autograd.grad((settings.text * text + settings.model * model + decay).sum(), trial)
        with torch.no_grad():
            left = -turn / settings.lead if turn < 0 else 1 - turn / (settings.steps - settings.lead)
            shift = batch.clamped(trial - left * adam.step(here, slope), here)
    with torch.no_grad():
        turns = range(turns_of(batch.distill))
        models = [model for turn in turns if (model := batch.losses(places, shift, turn)[1]) is not None]
        decided = torch.stack(models).mean(0)
    worse = decided > batch.before
    shift[worse], decided[worse] = 0, batch.before[worse]
    for place in places.tolist():
        _tell(keep, batch, place, shift, decided, settings.steps)


def _tell(keep: Keep, batch: _Batch, place: int, shifts: torch.Tensor, decided: torch.Tensor, steps: int) -> None:
    keep(place, Value(shifts[place].double().cpu(), float(batch.before[place]), float(decided[place]), steps))


def _moved(stream: torch.Tensor, sentences: Sentences, shift: torch.Tensor) -> torch.Tensor:
    """The stream with each concept's shift added at its subject."""
    places = torch.zeros(stream.shape[:2], device=stream.device)
    places[torch.arange(len(stream)), sentences.subject] = 1
    return stream + places[..., None] * shift[sentences.concept.to(shift.device)][:, None]


def _distance(said: torch.Tensor, target: torch.Tensor, sentences: Sentences) -> torch.Tensor:
    """(n,) squared distance over the compared tokens."""
    return ((said - target).square().sum(2) * sentences.weight.to(said)).sum(1)


def _wide(places: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return places[..., None].expand(-1, -1, like.shape[2])
