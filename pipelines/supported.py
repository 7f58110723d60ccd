"""Which diffusers pipelines are known here: those whose UNet reads the tokens of CLIP's text encoders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from diffusers import UNet2DConditionModel

from ..editing.errors import EditError
from .compiled import original

_CLIP = ("CLIPTextModel", "CLIPTextModelWithProjection")
_ENCODER = re.compile(r"text_encoder(_\d+)?")
_LOAD = "load one of SD 1.x, SD 2.x or SDXL"


def check_classes(pipeline: str, classes: Mapping[str, str | None]) -> None:
    """That a pipeline reads text through CLIP's encoders and a UNet.

    Args:
        pipeline: the name of its class.
        classes: name of each component to the name of its class, None for one that is left out.

    Raises:
        EditError: it is of another family, or a text encoder is left out.
    """
    encoders = {name: kind for name, kind in classes.items() if _ENCODER.fullmatch(name)}
    if (
        "unet" not in classes
        or "transformer" in classes
        or not set(encoders) <= {"text_encoder", "text_encoder_2"}
        or any(kind not in _CLIP for kind in encoders.values() if kind)
    ):
        raise EditError(f"The pipeline {pipeline} is of a family that is not known here; {_LOAD}.")
    missing = [name for name, kind in encoders.items() if not kind]
    if missing or not encoders:
        raise EditError(
            f"The {pipeline} has no {missing[0] if missing else 'text_encoder'}; load it with all of its text encoders."
        )


def check_index(index: Mapping[str, Any]) -> None:
    """The same of a pipeline's ``model_index.json``, before anything else is loaded."""
    parts = {name: entry[1] for name, entry in index.items() if isinstance(entry, list | tuple) and len(entry) == 2}
    check_classes(str(index.get("_class_name")), parts)


def check_text(pipe: Any) -> None:
    """That a loaded pipeline's text encoders are known. Raises :class:`EditError` as :func:`check_classes`."""
    parts = getattr(pipe, "components", {})
    check_classes(
        type(pipe).__name__, {name: type(original(part)).__name__ if part is not None else None for name, part in parts.items()}
    )


def text_unet(pipe: Any) -> UNet2DConditionModel:
    """The UNet whose cross-attention layers read the text as it is handed in, out of its wrappers.

    Raises:
        EditError: there is none, or it reads text in another way, too.
    """
    unet = original(getattr(pipe, "unet", None))
    if unet is None and "unet" in getattr(pipe, "components", {}):
        raise EditError("This pipeline was loaded without its UNet; load it with all of its parts.")
    config = getattr(unet, "config", None)
    if (
        not isinstance(unet, UNet2DConditionModel)
        or config.encoder_hid_dim_type not in (None, "ip_image_proj")  # an IP-Adapter's pictures come beside the text
        or config.addition_embed_type not in (None, "text_time")
    ):
        raise EditError(f"The diffusion model of {type(pipe).__name__} reads text in a way that is not known here; {_LOAD}.")
    return unet


def execution_device(pipe: Any) -> torch.device:
    """Where a pipeline computes, which is not where an offloaded one keeps its weights."""
    return torch.device(pipe._execution_device)
