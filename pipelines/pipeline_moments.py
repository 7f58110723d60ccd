"""The second moment of what a diffusers pipeline's text encoders know."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from ..editing.assumptions.moment_file import kept_moment
from ..editing.assumptions.moments import KnownMoment, read_known
from ..editing.concepts.text_encoder import encode_short
from ..editing.encoder_identity import ASKED_AGAIN, EncoderIdentity
from ..editing.encoding import Encode, EncodeShort
from ..editing.known_texts import KnownTexts
from ..editing.vocabulary import whole_words
from ..pocket.captions import captions_for
from .cache_folder import cache_folder
from .compiled import original
from .pipeline_concepts import text_encoders
from .pipeline_encoder import PipelineEncoder
from .supported import plain_tokenizer

_TRIED = "a photo of a house"
_latest: weakref.WeakKeyDictionary[torch.nn.Module, tuple[EncoderIdentity, KnownMoment]] = weakref.WeakKeyDictionary()


def words_and_short_windows(pipe: Any) -> tuple[tuple[str, ...], EncodeShort | None]:
    """The words of the tokenizer, and the text encoders in short windows; None for T5, which reads whole windows only.

    Short windows run in plain torch, because a pipeline's own encoders read whole windows only.

    Raises:
        EditError: the pipeline is of another family, or its text encoder is not computed as its weights say.
    """
    if _reads_t5(pipe):
        return _words(pipe), None
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


def known_moment(
    pipe: Any, encode: Encode, advance: Callable[[int, int], None] = lambda done, all_of_them: None
) -> KnownMoment:
    """S over the ordinary captions and the words of any known pipeline: in memory, else on disk, else from these.

    Args:
        pipe: the pipeline.
        encode: its text encoder (:func:`~.text_encoding.encoder_of`).
        advance: told how many texts were read, and of how many; what it raises ends the reading, which goes on from there.
    """
    text = original(
        next(part for name, part in pipe.components.items() if name.startswith("text_encoder") and part is not None)
    )
    (first,) = encode([_TRIED])
    identity, moment = _latest.get(text, (None, None))
    if moment is None or identity is None or not identity.apart(first.embeddings) <= ASKED_AGAIN:
        texts = KnownTexts(captions_for(first.embeddings.shape[1]), _words(pipe))
        moment = kept_moment(cache_folder("moments"), texts, encode, partial(_short_windows, pipe), advance)
        _latest[text] = EncoderIdentity.of(_TRIED, first), moment
    return moment


def _short_windows(pipe: Any) -> EncodeShort | None:
    """Not asked for where the moment is on disk."""
    return words_and_short_windows(pipe)[1]


def _words(pipe: Any) -> tuple[str, ...]:
    """Whole words of the tokenizer that a pipeline has for T5, else of its first."""
    last_first = ("tokenizer_3", "tokenizer_2", "tokenizer") if _reads_t5(pipe) else ("tokenizer",)
    names = [name for name in last_first if getattr(pipe, name, None) is not None]
    return whole_words(plain_tokenizer(getattr(pipe, names[0])).get_vocab())


def _reads_t5(pipe: Any) -> bool:
    return "transformer" in pipe.components
