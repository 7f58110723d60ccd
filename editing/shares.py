"""Shares of a subject's variants in pictures, tuned by how much each variant's meaning weighs.

The subject is to mean the weighted mean of its variants' meanings, as pairs with one source and several destinations do.
Which share of the pictures then shows which variant is found out by drawing some and judging them. Over the rounds it is
modelled as softmax(a + b w), with a bias a_i for every variant, one slope b, and w the weights; a and b are fitted to all
pictures so far, and the next weights are those for which the model gives the shares that are wanted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean

import torch

from .errors import EditError
from .lines import prompt_lines, tidy

_LARGEST = 1.9
"""Of the weights without their signs: a strength may be 2, and none needs to stand at its limit."""
_SLOPE, _SLOPE_SPREAD, _BIAS_SPREAD = 8.0, 0.7, 2.5
"""What is believed before the first picture: the slope is 8 times or through e^0.7, a bias is 0 give or take 2.5."""


@dataclass(frozen=True)
class Wanted:
    """The variants of a subject.

    Args:
        subject: the prompt whose pictures are lopsided, such as "a doctor".
        variants: what they may show, such as "a female doctor".
        shares: how much of each is wanted, which sum to 1.
    """

    subject: str
    variants: tuple[str, ...]
    shares: tuple[float, ...]

    @classmethod
    def parse(cls, subject: str, text: str) -> Wanted:
        """From lines such as "a female doctor: 50"; without a number all get the same.

        Raises:
            EditError: fewer than two variants, a share that is no positive number, or shares for some lines only.
        """
        lines = prompt_lines(text, "variants")
        if not tidy(subject):
            raise EditError("The subject is empty; write whose pictures are lopsided, such as: a doctor")
        if len(lines) < 2:
            raise EditError("Write at least two variants, one a line, such as: a female doctor: 50")
        parts = [line.rpartition(":") if ":" in line else (line, "", "") for line in lines]
        numbers = [_share(line, number) for line, (_, _, number) in zip(lines, parts, strict=True)]
        if any(numbers) and not all(numbers):
            raise EditError("Some variants have a share and some have none; give every line one, or none.")
        total = sum(numbers)
        shares = [number / total for number in numbers] if total else [1 / len(lines)] * len(lines)
        return cls(tidy(subject), tuple(tidy(name) for name, _, _ in parts), tuple(shares))


def _share(line: str, text: str) -> float:
    if not text:
        return 0.0
    try:
        share = float(text.strip().removesuffix("%"))
    except ValueError:
        share = math.nan
    if not 0 < share < math.inf:
        raise EditError(f"“{line}” does not end in a share; write a number above 0 there, such as: a female doctor: 50")
    return share


@dataclass(frozen=True)
class Round:
    """What one round showed.

    Args:
        weights: of the variants, as they were.
        counts: how many pictures showed each.
    """

    weights: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def shares(self) -> tuple[float, ...]:
        """Of the pictures that showed one of the variants."""
        return tuple(count / max(1, sum(self.counts)) for count in self.counts)


def counts_of(answers: Sequence[int | None], variants: int) -> tuple[int, ...]:
    """How many of a judge's answers name each of so many variants by its number."""
    return tuple(answers.count(place) for place in range(variants))


def none_shown(subject: str) -> EditError:
    """What is said where a judge saw none of the variants in any picture."""
    return EditError(
        f"The judge saw none of the variants in any picture of “{subject}”; look at such pictures, and word the variants as "
        "the judge can see them."
    )


def largest_gap(wanted: Wanted, shown: Round) -> float:
    """How far the share that is furthest off is from the one wanted."""
    return max(abs(share - asked) for share, asked in zip(shown.shares, wanted.shares, strict=True))


def next_weights(wanted: Wanted, rounds: Sequence[Round]) -> tuple[float, ...]:
    """The weights to try next, which sum to 1; before the first round they are the shares themselves."""
    if not rounds:
        return wanted.shares
    bias, slope = _fit(rounds)
    needed = (torch.tensor(wanted.shares, dtype=torch.float64).log() - bias) / slope
    weights = needed + (1 - needed.sum()) / len(needed)
    middle = torch.full_like(weights, 1 / len(weights))
    while weights.abs().sum() > _LARGEST:
        weights = torch.lerp(middle, weights, 0.97)
    return tuple(weights.tolist())


@torch.inference_mode(False)  # hosts that only draw pictures have gradients switched off altogether
@torch.enable_grad()
def _fit(rounds: Sequence[Round]) -> tuple[torch.Tensor, torch.Tensor]:
    """The most probable biases and slope; the slope's logarithm is what is searched for."""
    weights = torch.tensor([entry.weights for entry in rounds], dtype=torch.float64)
    counts = torch.tensor([entry.counts for entry in rounds], dtype=torch.float64)
    state = torch.zeros(weights.shape[1] + 1, dtype=torch.float64)

    def surprise(state: torch.Tensor) -> torch.Tensor:
        logits = state[:-1] + _SLOPE * (_SLOPE_SPREAD * state[-1]).exp() * (weights - 1 / weights.shape[1])
        prior = 0.5 * (state[:-1] / _BIAS_SPREAD).square().sum() + 0.5 * state[-1].square()
        return prior - (counts * logits.log_softmax(dim=1)).sum()

    state.requires_grad_(True)
    search = torch.optim.LBFGS([state], max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        search.zero_grad()
        value = surprise(state)
        value.backward()
        return value

    search.step(closure)
    state = state.detach()
    return state[:-1] - state[:-1].mean(), _SLOPE * (_SLOPE_SPREAD * state[-1]).exp()


def tune(
    wanted: Wanted,
    count_shown: Callable[[tuple[float, ...], int], Sequence[int]],
    tolerance: float,
    budget: int,
    rounds: Sequence[Round] = (),
) -> Iterator[list[Round]]:
    """Round after round until the shares are right, or the budget is spent.

    Args:
        wanted: what is asked.
        count_shown: weights and the round's number to how many pictures showed each variant.
        tolerance: largest gap at which to stop.
        budget: rounds in all, those already done included.
        rounds: already done.

    Yields:
        All rounds so far, after each.
    """
    done = list(rounds)
    while len(done) < budget and not (done and largest_gap(wanted, done[-1]) <= tolerance):
        weights = next_weights(wanted, done)
        done.append(Round(tuple(weights), tuple(int(count) for count in count_shown(weights, len(done)))))
        yield list(done)


def tune_together(
    wanted: Mapping[str, Wanted],
    count_shown: Callable[[Mapping[str, tuple[float, ...]], int], Mapping[str, Sequence[int]]],
    tolerance: float,
    budget: int,
) -> Iterator[dict[str, tuple[Round, ...]]]:
    """The same for several subjects that are solved together, and change each other.

    Args:
        wanted: what is asked, by any name.
        count_shown: names to weights, and the round's number, to how many pictures showed each variant.
        tolerance: mean over subjects of their largest gaps at which to stop.
        budget: rounds.

    Yields:
        Name to all rounds so far, after each.
    """
    done: dict[str, tuple[Round, ...]] = dict.fromkeys(wanted, ())
    for number in range(budget):
        weights = {name: next_weights(own, done[name]) for name, own in wanted.items()}
        for name, counts in count_shown(weights, number).items():
            done[name] += (Round(weights[name], tuple(counts)),)
        yield dict(done)
        if mean_gap(wanted, done) <= tolerance:
            return


def mean_gap(wanted: Mapping[str, Wanted], done: Mapping[str, Sequence[Round]]) -> float:
    """The mean over subjects of :func:`largest_gap` in their last rounds."""
    return fmean(largest_gap(own, done[name][-1]) for name, own in wanted.items())


def rounds_to_json(wanted: Wanted, rounds: Sequence[Round]) -> str:
    """What a later run needs to go on."""
    return json.dumps({"wanted": asdict(wanted), "rounds": [asdict(entry) for entry in rounds]}, ensure_ascii=False)


def rounds_from_json(wanted: Wanted, text: str) -> list[Round]:
    """The rounds that :func:`rounds_to_json` wrote.

    Raises:
        EditError: it is something else, or was made for other variants.
    """
    try:
        data = json.loads(text.removeprefix("\ufeff"))
        names = (data["wanted"]["subject"], tuple(data["wanted"]["variants"]))
        rounds = [
            Round(tuple(float(x) for x in entry["weights"]), tuple(int(x) for x in entry["counts"])) for entry in data["rounds"]
        ]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise EditError(f"This is not a result of Debias Concept ({error}); connect one, or leave it empty.") from error
    count = len(wanted.variants)
    if names != (wanted.subject, wanted.variants):
        raise EditError("The result to go on from is of another subject or other variants; leave it empty to begin anew.")
    if any(len(entry.weights) != count or len(entry.counts) != count or min(entry.counts) < 0 for entry in rounds):
        raise EditError("The result to go on from does not fit its own variants; leave it empty to begin anew.")
    return rounds
