"""The second moment of what a diffusers pipeline's text encoders know."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from ..editing.assumptions.moments import KnownMoment, read_known
from ..editing.concepts.text_encoder import encode_short
from ..editing.encoding import EncodeShort
from ..editing.known_texts import KnownTexts
from .pipeline_concepts import text_encoders
from .pipeline_encoder import PipelineEncoder


def words_and_short_windows(pipe: Any) -> tuple[tuple[str, ...], EncodeShort]:
    """The words of the first tokenizer, and the text encoders in short windows.

    These run in plain torch, because a pipeline's own encoders read whole windows only.

    Raises:
        EditError: the pipeline is of another family, or its text encoder is not computed as its weights say.
    """
    encoders = text_encoders(pipe)
    return encoders[0].words, partial(encode_short, encoders)


def moment_of(pipe: Any, captions: Sequence[str]) -> KnownMoment:
    """S over captions and the words of the first tokenizer.

    Args:
        pipe: an SD 1.x, SD 2.x or SDXL pipeline.
        captions: what is ordinary to it.

    Raises:
        EditError: as :func:`words_and_short_windows`.
    """
    words, short = words_and_short_windows(pipe)
    return read_known(PipelineEncoder(pipe), KnownTexts(captions, words), short)
