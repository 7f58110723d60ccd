"""Edits of some of a UNet's keys and values: each such layer is handed M c where it is handed c."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch.utils.hooks import RemovableHandle

from ..editing.assumptions.context_map import ContextMap
from ..editing.errors import EditError
from .compiled import original, uncompiled
from .mapped_text import mapped
from .module_view import called_through, watched_calls

_KEYS, _VALUES, _FUSED = "to_k", "to_v", "to_kv"


@contextmanager
def mapped_projections(view: torch.nn.Module, maps: Mapping[str, Sequence[ContextMap]]) -> Iterator[None]:
    """While it is open, each named weight W acts as W M1 M2 …, in calls of this view alone; compiled layers run uncompiled.

    Args:
        view: of a UNet (:func:`~.module_view.own_view`).
        maps: key of each weight (``….attn2.to_k.weight``) to the maps of what it reads, in the order they were put on.

    Raises:
        EditError: a layer is not called as the edits need it.
    """
    wanted: dict[str, dict[str, Sequence[ContextMap]]] = {}
    for key, context_maps in maps.items():
        name, _, part = key.removesuffix(".weight").rpartition(".")
        wanted.setdefault(name, {})[part] = context_maps
    attentions = {name: original(view).get_submodule(name) for name in wanted}
    reached: set[str] = set()
    with ExitStack() as stack:
        stack.enter_context(uncompiled(view))
        stack.enter_context(watched_calls(view))
        for name, attention in attentions.items():
            hooked = _mapped_output if _fused(attention) else _mapped_input
            for handle in hooked(view, wanted[name], partial(reached.add, name), attention):
                stack.callback(handle.remove)
        stack.callback(view.register_forward_pre_hook(lambda *_: reached.clear()).remove)
        stack.callback(view.register_forward_hook(lambda *_: _check(reached)).remove)
        yield


def _fused(attention: Any) -> bool:
    return getattr(attention, "fused_projections", False) and hasattr(attention, _FUSED)


def _mapped_input(
    view: torch.nn.Module, wanted: Mapping[str, Sequence[ContextMap]], reached: Callable[[], None], attention: Any
) -> list[RemovableHandle]:
    """By the inputs of ``to_k`` and ``to_v``."""

    def hook(maps: Sequence[ContextMap], layer: torch.nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if not called_through(view):
            return None
        reached()
        return (mapped(args[0], maps), *args[1:])

    return [getattr(attention, part).register_forward_pre_hook(partial(hook, maps)) for part, maps in wanted.items()]


def _mapped_output(
    view: torch.nn.Module, wanted: Mapping[str, Sequence[ContextMap]], reached: Callable[[], None], attention: Any
) -> list[RemovableHandle]:
    """By the output of ``to_kv``, whose first half is keys and whose second half is values, each from its own input."""

    def hook(layer: torch.nn.Module, args: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor | None:
        if not called_through(view):
            return None
        reached()
        parts = list(output.chunk(2, dim=-1))
        for place, part in enumerate((_KEYS, _VALUES)):
            if part in wanted:
                parts[place] = layer.forward(mapped(args[0], wanted[part])).chunk(2, dim=-1)[place]
        return torch.cat(parts, dim=-1)

    return [getattr(attention, _FUSED).register_forward_hook(hook)]


def _check(reached: Collection[str]) -> None:
    if not reached:  # some may be skipped on purpose, as by caches between steps
        raise EditError("The edit did not reach the layers that it is for; they were fused or replaced: put it on again.")
