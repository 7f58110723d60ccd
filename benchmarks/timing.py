"""The clock: several functions timed in turn, so that a slow moment of the computer falls on all of them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

_TURN = 0.25
"""Seconds for which a short function is repeated within its turn."""


def seconds(function: Callable[[], Any]) -> float:
    """Wall-clock seconds of one call."""
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def memory_peak() -> float:
    """Megabytes that this process held at most so far; 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def _turn(function: Callable[[], Any]) -> list[float]:
    times = [seconds(function)]
    while sum(times) < _TURN:
        times.append(seconds(function))
    return times


def alternate(rounds: int, *functions: Callable[[], Any], warm: bool = False) -> list[float]:
    """Seconds of the fastest call of each function, each given ``rounds`` turns, one after the other.

    The fastest, since whatever else the computer does can only add to a time.

    Unless all are ``warm`` from an earlier call, each is called once before the clock starts.
    """
    if not warm:
        for function in functions:
            function()
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds):
        for function, measured in zip(functions, times, strict=True):
            measured += _turn(function)
    return [min(measured) for measured in times]


def readable(duration: float) -> str:
    """Seconds for people: ``1.23 s`` or ``12.3 ms``."""
    return f"{duration:.3g} s" if duration >= 1 else f"{duration * 1000:.3g} ms"
