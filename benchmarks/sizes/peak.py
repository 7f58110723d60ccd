"""Memory that a function holds at most while it runs, beyond what there was before."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

os.environ.setdefault("KINETO_LOG_LEVEL", "9")  # else it tells of every start and stop


@dataclass(frozen=True)
class Call:
    """One call.

    Args:
        answer: what it returned.
        seconds: how long it took, with the memory watched.
        megabytes: of all tensors that torch held at once within it, the answer included, on every device.
    """

    answer: Any
    seconds: float
    megabytes: float


def with_peak(function: Callable[[], Any]) -> Call:
    """Call it, its memory watched by torch's profiler."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
    with profile(activities=activities, profile_memory=True, acc_events=False) as profiled:
        begin = time.perf_counter()
        answer = function()
        taken = time.perf_counter() - begin
    return Call(answer, taken, _most(profiled) / 1e6)


def _most(profiled: Any) -> int:
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most
