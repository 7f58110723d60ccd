"""Figures as ComfyUI's images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ...editing.errors import EditError


def image_of(draw: Callable[[], Any]) -> torch.Tensor:
    """The figure that ``draw`` makes, (1, height, width, 3) from 0 to 1.

    Raises:
        EditError: matplotlib is not installed.
    """
    try:
        from ...pictures.style import pixels

        return pixels(draw())[None]
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("matplotlib"):
            raise
        raise EditError(
            "The picture needs matplotlib, which is not installed; install what the pack's requirements.txt lists."
        ) from error
