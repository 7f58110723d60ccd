"""Edits without a patch: W M x is W applied to M x, so the projections' inputs are mapped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ..editing.assumptions.context_map import ContextMap


@contextmanager
def mapped_inputs(root: torch.nn.Module, maps: dict[str, list[ContextMap]]) -> Iterator[None]:
    """While it is open, every named weight W below ``root`` acts as W M, for each of its maps in turn.

    Forward pre-hooks do it, all of the same maps sharing one, so that each input is mapped once.
    """
    shared: dict[tuple[int, ...], _MapInput] = {}
    handles = []
    try:
        for key, wanted in maps.items():
            hook = shared.setdefault(tuple(map(id, wanted)), _MapInput(wanted))
            handles.append(root.get_submodule(key.removesuffix(".weight")).register_forward_pre_hook(hook))
        yield
    finally:
        for handle in handles:
            handle.remove()


class _MapInput:
    """A forward pre-hook: x becomes M1 M2 … x, what is behind the maps' width stays."""

    def __init__(self, maps: list[ContextMap]) -> None:
        self.maps = maps
        self.latest: tuple[torch.Tensor, torch.Tensor] | None = None

    def __call__(self, module: torch.nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """Every layer is handed the same embeddings, so the answer to the latest ones is kept."""
        given, *rest = arguments
        if self.latest is None or self.latest[0] is not given:
            self.maps = [context_map.to(given.device) for context_map in self.maps]
            mapped = given
            for context_map in reversed(self.maps):
                mapped = context_map.apply(mapped)
            self.latest = given, mapped
        return self.latest[1], *rest
