"""A picture in a .safetensors header, where ComfyUI looks for it when it lists models."""

from __future__ import annotations

import base64
import json
from io import BytesIO

import torch
from PIL import Image

_SIDE = 384


def cover_of(images: torch.Tensor) -> dict[str, str]:
    """The first picture of a batch as an entry of the header.

    Args:
        images: (n, height, width, 3) from 0 to 1.
    """
    first = images[0, ..., :3].clamp(0, 1).mul(255).round().to("cpu", torch.uint8).numpy()
    picture = Image.fromarray(first)
    picture.thumbnail((_SIDE, _SIDE))
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    return {"ssmd_cover_images": json.dumps([base64.b64encode(buffer.getvalue()).decode()])}
