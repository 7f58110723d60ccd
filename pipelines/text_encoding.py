"""The text encoder of any known pipeline, as the editing library asks for it."""

from __future__ import annotations

from typing import Any

from ..editing.encoding import Encode
from .language_encoder import LanguageEncoder
from .pipeline_encoder import PipelineEncoder
from .t5_encoder import STREAMS, T5Encoder
from .text_models import text_model


def encoder_of(pipe: Any) -> Encode:
    """What the pipeline's own ``encode_prompt`` gives. Raises :class:`EditError` for a pipeline that is not known."""
    if "transformer" not in getattr(pipe, "components", {}):
        return PipelineEncoder(pipe)
    family = text_model(pipe).family
    return T5Encoder(pipe, family) if family in STREAMS else LanguageEncoder(pipe)
