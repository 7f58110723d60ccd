"""The processes that share a run: one, or as many as `accelerate launch` started, on one machine or several."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch

_PATIENCE = timedelta(days=7)
"""How long a process waits for the slowest: searches take unequally long."""
_COUNTS = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
"""Where launchers write how many processes there are: torch's own, and those of MPI."""


@dataclass(frozen=True)
class Processes:
    """This process among all.

    Args:
        device: where this one computes.
        index, count: which one it is, of how many.
        gather: every process's entries, in the order of the processes, to all of them; each has to call it.
    """

    device: torch.device
    index: int = 0
    count: int = 1
    gather: Callable[[list[Any]], list[Any]] = lambda entries: entries

    @property
    def main(self) -> bool:
        """Whether it is the one that writes and speaks."""
        return self.index == 0


def launched() -> Processes:
    """The processes that `accelerate launch` started, or this one alone."""
    if all(int(os.environ.get(name, "1")) < 2 for name in _COUNTS):
        return Processes(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    from accelerate import PartialState
    from accelerate.utils import gather_object, parse_flag_from_env

    # Without an accelerator it has to be told so, or it takes this process for the only one.
    cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not _accelerated()
    state = PartialState(cpu=cpu, timeout=_PATIENCE)
    return Processes(state.device, state.process_index, state.num_processes, gather_object)


def _accelerated() -> bool:
    return torch.accelerator.is_available() if hasattr(torch, "accelerator") else torch.cuda.is_available()
