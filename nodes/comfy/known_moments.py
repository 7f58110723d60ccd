"""The second moment of what a ComfyUI CLIP knows: in memory, else on disk, else from its captions and words themselves."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Hashable
from functools import partial

import torch

from ...editing.assumptions.moment_file import kept_moment
from ...editing.assumptions.moments import KnownMoment
from ...editing.assumptions.rows_read import RowsRead
from ...editing.concepts.text_encoder import encode_short
from ...editing.encoding import EncodeShort
from ...editing.errors import EditError
from ...editing.known_texts import KnownTexts
from ...pocket.captions import captions_for
from .clip_encoder import ComfyEncoder
from .paths import kept_folder
from .progress import progress_to
from .text_encoders import text_encoders

_latest: weakref.WeakKeyDictionary[torch.nn.Module, tuple[Hashable, KnownMoment]] = weakref.WeakKeyDictionary()


def moment_of(encoder: ComfyEncoder, width: int, reads: RowsRead, model: Hashable = None) -> KnownMoment:
    """The second moment for this encoder.

    Args:
        encoder: the CLIP's.
        width: of its embeddings.
        reads: what of these it is taken over.
        model: that reads them, where its own layers come before.
    """
    model, key = encoder.clip.cond_stage_model, (encoder.key, reads, model)
    known, moment = _latest.get(model, (None, None))
    if known != key:
        texts = KnownTexts(captions_for(width), encoder.words)
        encode, short = reads.encode(encoder), partial(_short, encoder, reads)
        moment = kept_moment(kept_folder("moments"), texts, encode, short, _Progress())
        _latest[model] = key, moment
    return moment


def _short(encoder: ComfyEncoder, reads: RowsRead) -> EncodeShort | None:
    """Through CLIP in plain torch, because ComfyUI's own modules read whole windows; None for an encoder of another kind."""
    try:
        encoders = text_encoders(encoder.clip)
    except EditError:
        return None
    return reads.encode(partial(encode_short, encoders))


class _Progress:
    """On the running node; says once in the log what takes its time."""

    def __init__(self) -> None:
        self.bar: Callable[[int], None] | None = None

    def __call__(self, done: int, all_of_them: int) -> None:
        if self.bar is None:
            if done == all_of_them:
                return
            logging.info("Edit Assumption: reading %d captions and words, once for this text encoder.", all_of_them - done)
            self.bar = progress_to(all_of_them, what="reading")
        self.bar(done)
