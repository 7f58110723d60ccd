"""Models in which a norm stands before the layer that text enters through: edits solved on what that layer reads.

The layer W reads n(c) = g c / rms(c), numbers times numbers, g being the norm's own weights. No map of c is W M there. A map of
the unit rows u = c / rms(c) is: W diag(g) M u = W diag(g) M diag(g)^-1 n(c). So the edit is solved on unit rows, which the text
encoder alone tells, and holds for every checkpoint of the family. Some models read several layers of an encoder side by side,
each behind a norm of its own.

Put on the text, such an edit is s M(c / s) with s = rms(c), whose length the norm takes away.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..errors import EditError
from .context_map import ContextMap

_SHUT_OFF = (
    "The norm before this model's text layer shuts off a part of the text, so no weight does what the edit says; put it on the "
    "text (in ComfyUI let “applied_to” be text)."
)
_EPS = 1e-6
"""Below every row of a text encoder, so that padding of zeros stays zero."""


def unit_rows(rows: torch.Tensor, norms: int) -> torch.Tensor:
    """u = c / rms(c), for each of ``norms`` equal parts of a row by itself: (…, width) to the same."""
    parts = rows.unflatten(-1, (norms, -1))
    return torch.nn.functional.rms_norm(parts, parts.shape[-1:], eps=_EPS).flatten(-2)


def mapped_behind(rows: torch.Tensor, norms: int, apply: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """s M(c / s) for every row c: what a map of unit rows makes of rows that are read behind a norm.

    Args:
        rows: (…, width), as the encoder gives them.
        norms: 0 for a map of the rows themselves.
        apply: M, (…, width) to the same.
    """
    if not norms:
        return apply(rows)
    wide = rows.float().unflatten(-1, (norms, -1))
    sizes = (wide.square().mean(dim=-1, keepdim=True) + _EPS).sqrt()
    mapped: torch.Tensor = apply((wide / sizes).flatten(-2)).unflatten(-1, (norms, -1)) * sizes
    return mapped.flatten(-2).to(rows.dtype)


def behind_gain(context_map: ContextMap, gain: torch.Tensor) -> ContextMap:
    """diag(g) M diag(g)^-1: the map of n(c) that a map of unit rows is.

    Args:
        context_map: M, of unit rows.
        gain: g, (width,).

    Raises:
        EditError: a number of g is 0, so that the layer does not see all that the map reads.
    """
    gain = gain.to(context_map.left)
    if not (gain != 0).all():
        raise EditError(_SHUT_OFF)
    return ContextMap(context_map.left * gain[:, None], context_map.right / gain)
