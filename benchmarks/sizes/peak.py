"""Memory that a function holds at most while it runs, beyond what there was before."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch.profiler import ProfilerActivity, profile

_Answer = TypeVar("_Answer")

os.environ.setdefault("KINETO_LOG_LEVEL", "9")  # else it tells of every start and stop


def with_peak(function: Callable[[], _Answer]) -> tuple[_Answer, float]:
    """Its answer, and megabytes of all tensors that torch holds at once within it, the answer included, on every device."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
    with profile(activities=activities, profile_memory=True, acc_events=False) as profiled:
        answer = function()
    return answer, _most(profiled) / 1e6


def _most(profiled: Any) -> int:
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most
