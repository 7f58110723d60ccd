"""A picture in a .safetensors header, where ComfyUI looks for it when it lists models."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from io import BytesIO

from PIL import Image

_SIDE = 384
_KEY = "ssmd_cover_images"


def cover_entry(picture: Image.Image) -> dict[str, str]:
    """The picture, made small, as an entry of the header."""
    picture = picture.convert("RGB")
    picture.thumbnail((_SIDE, _SIDE))
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    return {_KEY: json.dumps([base64.b64encode(buffer.getvalue()).decode()])}


def cover_address(header: Mapping[str, str]) -> str | None:
    """The picture in a header as an address that a page can show; None where there is none."""
    try:
        return f"data:image/jpeg;base64,{json.loads(header[_KEY])[0]}"
    except (KeyError, ValueError, IndexError, TypeError):
        return None
