"""The attention teacher of stage one: every cross-attention layer ought to hand on what it hands on for the meant text.

All that a diffusion model reads of a text it reads through these layers, so nothing else of it has to be asked. For some
queries of a layer, whose output for a text is A(text),

    ||A(edited) - A(meant)||² / ||A(source) - A(meant)||²,    the mean over all layers,

which is 1 before the edit and 0 where nothing can be told apart. EMCID asks the whole model, at noises and points of the
schedule, and goes through all of it backwards at every step; here one pass finds the queries, with pure noise and the empty
prompt: what is asked at the beginning of sampling, when it is decided what a picture shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..errors import EditError
from .sentences import Sentences

_QUERIES = 32
_CROSS_ATTENTION = ".attn2"

Queries = dict[torch.nn.Module, torch.Tensor]
"""Layer to (1, queries, its width), which it takes as its first argument, and contexts as its second."""

Read = Callable[[torch.Tensor], Sequence[torch.Tensor]]
"""Contexts (n, tokens, width) to each cross-attention layer's outputs, (n, queries, its width); differentiable."""


def queries_of(model: torch.nn.Module, run: Callable[[], object], seed: int) -> Queries:
    """What each cross-attention layer of a diffusion model is asked first while ``run`` runs it.

    Args:
        model: diffusers' or the original code's, which both call these layers ``attn2``.
        run: one pass, with any text.
        seed: of the choice among the queries.

    Raises:
        EditError: there is no such layer.
    """
    queries: Queries = {}
    generator = torch.Generator().manual_seed(seed)

    def keep(layer: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
        if layer not in queries:
            asked = arguments[0].detach().flatten(0, 1)
            chosen = torch.randperm(len(asked), generator=generator)[:_QUERIES]
            with torch.inference_mode(False):  # what is made in inference mode cannot be part of a gradient
                queries[layer] = asked[chosen.to(asked.device)].clone()[None]

    layers = [layer for name, layer in model.named_modules() if name.endswith(_CROSS_ATTENTION)]
    hooks = [layer.register_forward_pre_hook(keep) for layer in layers]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    if not queries:
        raise EditError("This diffusion model has no cross-attention layers that are known; choose the mode “text”.")
    return queries


def read_by(queries: Queries, contexts: torch.Tensor) -> list[torch.Tensor]:
    """What each layer hands on, (n, queries, its width)."""
    return [
        layer(asked.expand(len(contexts), -1, -1), contexts.to(asked.device, asked.dtype)) for layer, asked in queries.items()
    ]


class AttentionTeacher:
    """A ``distill`` for :func:`~.values.find_values`.

    Args:
        read: the cross-attention layers.
        templates: how many sentences a concept has.
    """

    def __init__(self, read: Read, templates: int) -> None:
        self.read, self.templates = read, templates
        self._known: dict[int, tuple[list[torch.Tensor], torch.Tensor]] = {}

    def _read(self, contexts: torch.Tensor) -> list[torch.Tensor]:
        return [answer.to(contexts.device, torch.float32) for answer in self.read(contexts)]

    def _learn(self, origins: list[int], edited: torch.Tensor, meant: torch.Tensor) -> None:
        """What the layers make of the meant text, and how far from it the source's is; of this batch alone, for it is much."""
        with torch.no_grad():
            right, before = self._read(meant), self._read(edited)
        begun = torch.stack([_apart(one, other) for one, other in zip(before, right, strict=True)], dim=1)
        self._known = {
            origin: ([layer[rows] for layer in right], begun[rows].mean(0).clamp(min=1e-12))
            for origin, rows in zip(origins, torch.arange(len(meant)).split(self.templates), strict=True)
        }

    def __call__(self, sentences: Sentences, edited: torch.Tensor, meant: torch.Tensor, step: int) -> torch.Tensor:
        """(n,) losses; at its first call for a concept ``edited`` is not edited yet."""
        origins = sentences.origin.tolist()
        if any(origin not in self._known for origin in origins):
            self._learn(origins, edited.detach(), meant)
        known = [self._known[origin] for origin in origins]
        begun = torch.stack([scale for _, scale in known]).repeat_interleave(self.templates, 0)
        right = [torch.cat(layer) for layer in zip(*(layers for layers, _ in known), strict=True)]
        distances = [_apart(one, other) for one, other in zip(self._read(edited), right, strict=True)]
        return (torch.stack(distances, dim=1) / begun).mean(1)


def _apart(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """(n,) squared distances."""
    return (one - other).square().sum((1, 2))
