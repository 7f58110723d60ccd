"""How strongly a model reads each direction of its text: the Gram matrix of its text projections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import torch

from ..suite_methods import Seen


def text_gram(seen: Seen, width: int) -> torch.Tensor:
    """G = sum W^T W over the text projections W, (width, width), float64: x^T G x is what all of them make of x, squared.

    Where no weights are known, every direction is read alike: the identity.
    """
    gram = _gram(seen.weights)
    return torch.eye(width, dtype=torch.float64) if gram is None else gram


@lru_cache(maxsize=4)
def _gram(weights: Callable[[], Sequence[torch.Tensor]]) -> torch.Tensor | None:
    products = [weight.double().T @ weight.double() for weight in weights()]
    return torch.stack(products).sum(0) if products else None
