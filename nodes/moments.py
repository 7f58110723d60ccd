"""The second moment of ordinary captions for a ComfyUI CLIP: in memory, else on disk, else from the captions themselves."""

from __future__ import annotations

import weakref
from collections.abc import Hashable, Sequence

import torch

from ..editing.captions import ordinary_captions
from ..editing.encoding import EncodedPrompt
from ..editing.moment_file import kept_moment
from ..editing.moments import batches, caption_moment
from ..editing.projections import FAMILIES
from .encoder import ComfyEncoder
from .folders import kept_folder
from .host import progress

(_POCKET,) = (family for family in FAMILIES if family.name == "pocket")
_latest: weakref.WeakKeyDictionary[torch.nn.Module, tuple[Hashable, torch.Tensor]] = weakref.WeakKeyDictionary()


def captions_for(width: int) -> Sequence[str]:
    """What is ordinary to a text encoder of this width: plain English, or what the pocket model was trained on."""
    if width == _POCKET.width:
        from ..pocket.captions import ordinary_captions as pocket_captions

        return pocket_captions()
    return ordinary_captions()


def moment_of(encoder: ComfyEncoder, width: int) -> torch.Tensor:
    """The second moment for this encoder, (width, width) in float64.

    Args:
        encoder: the CLIP's.
        width: of its embeddings.
    """
    model, key = encoder.clip.cond_stage_model, encoder.key
    known, moment = _latest.get(model, (None, None))
    if known != key:
        captions = captions_for(width)
        moment = kept_moment(kept_folder("moments"), captions, encoder, lambda: _compute(encoder, captions))
        _latest[model] = key, moment
    return moment


def _compute(encoder: ComfyEncoder, captions: Sequence[str]) -> torch.Tensor:
    advance = progress(len(batches(captions)))

    def encode(texts: Sequence[str]) -> list[EncodedPrompt]:
        advance()
        return encoder.uncached(texts)

    return caption_moment(encode, captions)
