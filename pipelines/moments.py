"""The second moment of what a diffusers pipeline's text encoders know."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from ..editing.concepts.encoder import encode_short
from ..editing.encoding import EncodeShort
from ..editing.moments import KnownTexts, known_moment
from ..editing.vocabulary import whole_words
from .concepts import text_encoders
from .encoder import PipelineEncoder


def words_of(pipe: Any) -> tuple[str, ...]:
    """The whole words of the first tokenizer."""
    return whole_words(pipe.tokenizer.get_vocab())


def short_windows_of(pipe: Any) -> EncodeShort:
    """The text encoders in short windows: in plain torch, because a pipeline's own reads whole ones only.

    Raises:
        EditError: the pipeline is of another family, or its text encoder is not computed as its weights say.
    """
    return partial(encode_short, text_encoders(pipe))


def moment_of(pipe: Any, captions: Sequence[str]) -> torch.Tensor:
    """S over captions and the words of the first tokenizer, (width, width) in float64.

    Args:
        pipe: an SD 1.x, SD 2.x or SDXL pipeline.
        captions: what is ordinary to it.

    Raises:
        EditError: as :func:`short_windows_of`.
    """
    return known_moment(PipelineEncoder(pipe), KnownTexts(captions, words_of(pipe)), short_windows_of(pipe))
