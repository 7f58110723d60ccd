"""The text encoder of any known pipeline, as the editing library asks for it."""

from __future__ import annotations

from typing import Any

from ..editing.encoding import Encode
from .pipeline_encoder import PipelineEncoder
from .t5_encoder import T5Encoder
from .text_models import text_model


def encoder_of(pipe: Any) -> Encode:
    """What the pipeline's own ``encode_prompt`` gives. Raises :class:`EditError` for a pipeline that is not known."""
    if "transformer" in getattr(pipe, "components", {}):
        return T5Encoder(pipe, text_model(pipe).family)
    return PipelineEncoder(pipe)
