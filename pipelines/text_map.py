"""What maps text embeddings on their way into a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch


class TextMap(Protocol):
    """A map of text embeddings: a linear one of every token (a ContextMap), or one that looks at a prompt as a whole."""

    def to(self, device: torch.device | str | None = None) -> TextMap:
        """The same elsewhere."""

    def apply(self, embeddings: torch.Tensor) -> torch.Tensor:
        """(prompts, tokens, width) to the same, in the input's type."""


class DrawnMap(Protocol):
    """A map that differs from picture to picture (a ChanceMap)."""

    def to(self, device: torch.device | str | None = None) -> DrawnMap:
        """The same elsewhere."""

    def apply(self, embeddings: torch.Tensor, drawn: Sequence[Any]) -> torch.Tensor:
        """(pictures, tokens, width) to the same, in the input's type, each by what its picture has drawn."""
