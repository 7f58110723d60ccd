"""Which diffusers pipelines are known here: those whose UNet reads the tokens of CLIP's text encoders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from ..editing.errors import EditError
from .compiled import original

_CLIP = ("CLIPTextModel", "CLIPTextModelWithProjection")
_ENCODER = re.compile(r"text_encoder(_\d+)?")
LOAD = "load one of SD 1.x, SD 2.x, SDXL, PixArt, SD3, Flux or a newer family that docs/models.md lists"
"""What is said where a pipeline is of none of these, or, for what only these have, of none of those with a UNet."""
LOAD_UNET = "load one of SD 1.x, SD 2.x or SDXL"


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
        raise EditError(f"The pipeline {pipeline} is of a family that is not known here; {LOAD_UNET}.")
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


def execution_device(pipe: Any) -> torch.device:
    """Where a pipeline computes, which is not where an offloaded one keeps its weights."""
    return torch.device(pipe._execution_device)


def plain_tokenizer(part: Any) -> Any:
    """A pipeline's tokenizer, out of a processor of text and pictures."""
    return getattr(part, "tokenizer", part)
