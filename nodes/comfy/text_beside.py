"""Models that are handed more of a prompt than its rows: numbers of tokens, or another encoder's rows. No edit reaches it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ...editing.errors import EditError
from ...editing.templates import PROBES

_REACHED = ("cond", "pooled_output", "hooks")
"""What a CLIP gives that edits reach, or that is not a prompt's."""
_IN_CONDITIONINGS = (
    "conditioning_llama3", "direct_context", "prefix_keys", "prism_audio_context", "t5xxl_ids", "text_input_ids",
)  # fmt: skip
"""HiDream, Ming-Image, SenseNova, Prism, Anima, HiDream O1: some of it is put there by nodes behind the CLIP."""


def handed_beside(clip: Any) -> tuple[str, ...]:
    """What a CLIP hands a model of each prompt beside rows and a pooled embedding, such as Anima's T5 numbers."""
    one, other = (_handed(clip, text) for text in PROBES)
    return tuple(name for name in one if not _equal(one[name], other.get(name)))


def check_conditioning(details: Mapping[str, Any]) -> None:
    """Raise :class:`EditError` for a conditioning that holds more of the prompt than its rows.

    Args:
        details: what it holds beside them.
    """
    refuse_beside("The conditioning holds", [name for name in _IN_CONDITIONINGS if details.get(name) is not None])


def refuse_beside(who: str, beside: Sequence[str]) -> None:
    """Raise :class:`EditError` where there is something beside the rows."""
    if beside:
        raise EditError(
            f"{who} more of each prompt than its embeddings ({', '.join(beside)}), which no edit reaches; no edit is known for "
            "this model."
        )


def _handed(clip: Any, text: str) -> dict[str, Any]:
    handed = clip.encode_from_tokens(clip.tokenize(text), return_dict=True)
    return {name: value for name, value in handed.items() if name not in _REACHED and not name.endswith("mask")}


def _equal(one: Any, other: Any) -> bool:
    """Whether two values of any kind are; tensors by their numbers."""
    if torch.is_tensor(one) and torch.is_tensor(other):
        return one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(_equal(a, b) for a, b in zip(one, other, strict=True))
    return type(one) is type(other) and bool(one == other)
