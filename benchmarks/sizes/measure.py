"""Methods measured beside each other: time, by turns, and memory."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from ..timing import alternate, seconds
from .methods import IN_TURN, Method, Part, builders
from .model_sizes import ModelSize
from .peak import with_peak
from .peers import NoPeerError
from .problem import Problem, moment_of

_ROUNDS = 3
"""Turns of what is not slow, beside its first calls."""
_SLOW = 3.0
"""Seconds from which a few calls are enough."""
_LIMIT = 12.0
"""Seconds above which a method that takes its pairs in turn is measured on fewer of them, and a call is not made again: the one
that memory was measured in counts."""


@dataclass(frozen=True)
class Point:
    """What a method costs for some pairs at a size.

    Args:
        size, pairs, method, device: of what.
        solve, apply: seconds; apply is None where the solve gives edited weights.
        memory: megabytes beyond the model, at most.
        file, lora: megabytes on disk; None where there is no such file.
        details: what is to be known of the result.
        measured: on what part it was measured; empty where on all.
        scaled: whether it was measured on fewer pairs.
        clock: seconds that what was measured took.
    """

    size: str
    pairs: int
    method: str
    device: str
    solve: float
    apply: float | None
    memory: float
    file: float | None
    lora: float | None
    details: str = ""
    measured: str = ""
    scaled: bool = False
    clock: float = 0.0

    @property
    def total(self) -> float:
        """Seconds of solve and apply."""
        return self.solve + (self.apply or 0)

    def for_more(self, pairs: int) -> Point:
        """For more pairs, of a method that takes one after the other."""
        measured = "; ".join(filter(None, (f"{self.pairs:,} of {pairs:,} pairs", self.measured)))
        return replace(self, pairs=pairs, solve=self.solve * pairs / self.pairs, measured=measured, scaled=True)


@dataclass(frozen=True)
class _Ready:
    """A method after its first run: what is timed, and what is known already."""

    method: Method
    solve: Sequence[Part]
    apply: Sequence[Part]
    first: Sequence[float]
    memory: float
    known: dict[str, Any]


def _finished(function: Callable[[], Any], device: str) -> Any:
    """A call that has come to its end on its device, too."""
    answer = function()
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    return answer


def _warmed(method: Method, device: str) -> _Ready:
    solved = [with_peak(partial(_finished, part.run, device)) for part in method.solve]
    result = method.then([one.answer for one in solved])
    costs = [(one.seconds, one.megabytes) for one in solved]
    del solved
    applied = (with_peak(partial(_finished, part.run, device)) for part in result.apply)
    costs += [(one.seconds, one.megabytes) for one in applied]
    first, peaks = zip(*costs, strict=True)
    known = {"file": result.file, "lora": result.lora, "details": result.details}
    return _Ready(method, method.solve, result.apply, first, max(peaks) + method.beside, known)


def _fastest(parts: Sequence[Part], first: Sequence[float], device: str, rounds: int) -> list[float]:
    """Seconds of the fastest call of each, all in turn.

    The ``first`` calls count, too: that their memory was watched can only add to them. Of what is slow there are two more.
    """
    runs, best = [partial(_finished, part.run, device) for part in parts], list(first)
    again = [place for place, time in enumerate(best) if time <= _LIMIT]
    for _ in range(2 if rounds else 1):
        for place in again:
            best[place] = min(best[place], seconds(runs[place]))
    quick = [place for place in again if best[place] < _SLOW and rounds]
    for place, time in zip(quick, alternate(rounds, *(runs[place] for place in quick), warm=True), strict=True):
        best[place] = min(best[place], time)
    return best


def points(problem: Problem, methods: Sequence[Method], rounds: int = _ROUNDS) -> list[Point]:
    """Each method, all in turn."""
    ready = [_warmed(method, problem.device) for method in methods]
    every = [part for one in ready for part in (*one.solve, *one.apply)]
    first = [time for one in ready for time in one.first]
    times = iter(_fastest(every, first, problem.device, rounds))
    found = []
    for one in ready:
        solve, apply = ([(part.count, next(times)) for part in parts] for parts in (one.solve, one.apply))
        found.append(
            Point(
                problem.size.name, problem.pairs, one.method.name, problem.device, _total(solve),
                _total(apply) if apply else None, one.memory, measured=one.method.measured,
                clock=sum(time for _, time in (*solve, *apply)), **one.known,
            )
        )  # fmt: skip
    return found


def _total(times: Sequence[tuple[float, float]]) -> float:
    return sum(count * time for count, time in times)


def measure_size(size: ModelSize, pairs: Sequence[int], device: str, rounds: int = _ROUNDS) -> Iterator[Point]:
    """Every method that knows a model of this size, at rising numbers of pairs."""
    moment = moment_of(size.width, device)
    last: dict[str, Point] = {}
    for count in sorted({1, *pairs}):  # from one pair others are told
        gc.collect()  # what torch's profiler leaves in circles
        problem = Problem(size, count, device, moment)
        chosen = []
        for name, build in builders(problem).items():
            before = last.get(name)
            if name in IN_TURN and before and before.clock * count / before.pairs > _LIMIT:
                yield before.for_more(count)
                continue
            try:
                chosen.append(build())
            except NoPeerError as reason:
                print(f"left out: {reason}", file=sys.stderr)
        for point in points(problem, chosen, rounds):
            last[point.method] = point
            yield point
