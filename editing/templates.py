"""Prompts that stand within a template: what they share at their beginning and at their end is not their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

PROBES = ("red", "blue")
"""Two prompts that differ in every token of their own."""
_ALIKE = 1e-2
"""Relative difference of two rows below which they are the same but for rounding."""


def same_token(one: Any, other: Any) -> bool:
    """Whether two tokens are; an embedding's vector is like no other."""
    return isinstance(one, int) and isinstance(other, int) and one == other


def shared_opening(one: Sequence[Any], other: Sequence[Any]) -> int:
    """How many tokens two prompts begin with together."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if not same_token(a, b)), min(len(one), len(other)))


def own_tokens(prompt: Sequence[Any], around: Sequence[Any]) -> range:
    """The places of a prompt's own tokens.

    Args:
        prompt: its tokens, with what stands around it and without padding.
        around: those of the empty prompt.
    """
    opening = shared_opening(prompt, around)
    return range(opening, len(prompt) - shared_opening(prompt[opening:][::-1], around[opening:][::-1]))


def template_around(one: Sequence[Any], other: Sequence[Any], empty: Sequence[Any]) -> Sequence[Any]:
    """What stands around every prompt: the empty one's tokens, or, where it has another template, what two prompts share.

    Args:
        one, other: two prompts' tokens without padding, of prompts that share none.
        empty: the empty prompt's.
    """
    own = own_tokens(one, other)
    return empty if shared_opening(one, empty) + 1 >= own.start else [*one[: own.start], *one[own.stop :]]


def first_difference(one: torch.Tensor, other: torch.Tensor) -> int | None:
    """The first of two prompts' rows, (rows, width) each, that differ; None where none do.

    In a causal encoder it is the row of the first token in which the prompts differ.
    """
    count = min(len(one), len(other))
    apart = torch.linalg.vector_norm(one[:count] - other[:count], dim=1)
    different = (apart > _ALIKE * torch.linalg.vector_norm(one[:count], dim=1)).nonzero()
    return int(different[0]) if len(different) else None
