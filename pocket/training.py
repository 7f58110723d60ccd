"""A training run that can be stopped and taken up again: step by step, each from its own seed."""

from __future__ import annotations

import copy
import json
import logging
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from tqdm import tqdm

from ..editing.whole_file import save_whole_text, whole_file, why

SAVE_EVERY = 250
LOGS = "training"
"""The folder beside the finished weights that keeps the logs."""


def fast_allocator() -> None:
    """Start the program again with an allocator that keeps its memory, in huge pages; it more than halves a step on Linux."""
    if sys.platform == "linux" and "MALLOC_MMAP_MAX_" not in os.environ:
        settings = {
            "MALLOC_MMAP_MAX_": "0",
            "MALLOC_TRIM_THRESHOLD_": str(2**34),
            "MALLOC_TOP_PAD_": str(2**26),
            "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
        }
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**settings, **os.environ})


def keep_logs(folder: Path, weights: Path) -> None:
    """Copy the logs of all stages beside the weights that came of them."""
    for log in folder.glob("*.jsonl"):
        with _going_on(weights / LOGS / log.name):
            save_whole_text(weights / LOGS / log.name, log.read_text(encoding="utf-8"))


@contextmanager
def _going_on(path: Path) -> Iterator[None]:
    """A file that cannot be written now stops no training; the next time may do better."""
    try:
        yield
    except OSError as error:
        logging.warning("“%s” cannot be written (%s); the training goes on.", path, why(error))


class Run:
    """Modules in training, with their averaged weights, optimizer, log and checkpoint.

    Args:
        folder: where checkpoint and log go.
        name: of both.
        modules: what is trained.
        steps: how many there are.
        rate: the learning rate at its peak; warmed up, then along a cosine to a twentieth.
        average: how much of the averaged weights stays at each step.
    """

    def __init__(
        self, folder: Path, name: str, modules: Mapping[str, torch.nn.Module], steps: int, rate: float, average: float = 0.999
    ) -> None:
        self.modules, self.steps, self.rate, self.average = dict(modules), steps, rate, average
        self.averaged = {key: copy.deepcopy(module).eval().requires_grad_(False) for key, module in self.modules.items()}
        self.parameters = [parameter for module in self.modules.values() for parameter in module.parameters()]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=rate, betas=(0.9, 0.99), weight_decay=0.01)
        folder.mkdir(parents=True, exist_ok=True)  # for the log
        self.checkpoint, self.log = folder / f"{name}.pt", folder / f"{name}.jsonl"
        self.name, self.step, self.begun = name, 0, 0
        if self.checkpoint.exists():
            self._load()

    def _load(self) -> None:
        state = torch.load(self.checkpoint, weights_only=True)
        for key, module in self.modules.items():
            module.load_state_dict(state["modules"][key])
            self.averaged[key].load_state_dict(state["averaged"][key])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]

    def _save(self) -> None:
        state = {
            "modules": {key: module.state_dict() for key, module in self.modules.items()},
            "averaged": {key: module.state_dict() for key, module in self.averaged.items()},
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }
        with _going_on(self.checkpoint), whole_file(self.checkpoint) as file:
            torch.save(state, file)

    def _rate(self) -> float:
        warm = min(1.0, (self.step + 1) / 200)
        return self.rate * warm * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, self.step / self.steps))))

    def train(self, loss_of: Callable[[int], tuple[torch.Tensor, dict[str, float]]]) -> None:
        """Do the steps that are left.

        Args:
            loss_of: step number to the loss and more numbers for the log; all its randomness comes from the number.
        """
        begin, recent = time.time(), []
        self.begun = self.step
        bar = tqdm(total=self.steps, initial=self.step, desc=self.name, unit="step", mininterval=5)
        while self.step < self.steps:
            torch.manual_seed(self.step)
            for group in self.optimizer.param_groups:
                group["lr"] = self._rate()
            loss, numbers = loss_of(self.step)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
            self.optimizer.step()
            self.step += 1
            keep = min(self.average, self.step / (self.step + 10))
            with torch.no_grad():
                for key, module in self.modules.items():
                    mean, now = list(self.averaged[key].parameters()), list(module.parameters())
                    torch._foreach_lerp_(mean, now, 1 - keep)
            recent.append(float(loss.detach()))
            bar.update(1)
            if self.step % 50 == 0 or self.step == self.steps:
                mean_loss = sum(recent) / len(recent)
                line = {"step": self.step, "loss": mean_loss, **numbers, "rate": self._rate(), "seconds": time.time() - begin}
                with _going_on(self.log), self.log.open("a", encoding="utf-8") as log:
                    log.write(json.dumps(line) + "\n")
                bar.set_postfix(loss=f"{mean_loss:.4f}")
                recent = []
            if self.step % SAVE_EVERY == 0 or self.step == self.steps:
                self._save()
        bar.close()
