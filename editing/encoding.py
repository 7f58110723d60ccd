"""What a host hands in: a prompt as its text encoder sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from .errors import EditError
from .wording import shortened


@dataclass(frozen=True)
class Chunk:
    """One window of an encoder's input: positions ``start`` to ``stop``, with the prompt's words at ``words``.

    Before the words stands what opens a window (CLIP's start token), after them what closes and fills it (the end token
    and padding). T5 has one window and, unpadded, nothing but the end token after the words. Where a model reads two encoders
    one behind the other (SD3), each is a ``stream`` of its own.
    """

    start: int
    words: range
    stop: int
    stream: int = 0


@dataclass(frozen=True)
class EncodedPrompt:
    """A prompt's tokens and their embeddings, in the space that the model's projections read.

    Args:
        tokens: one text piece per position (such as ``"rose</w>"``), used to align prompts and to show them.
        chunks: the windows of the encoder, in order; together they cover every position once.
        embeddings: (tokens, width), float32 or better.
        pooled: (width of it,), the prompt as one vector, where it was asked for and the encoder has one.
        cut: the prompt's end, where it is longer than the encoder's windows and the host leaves the end out.
        padding: how many rows of padding a short window leaves out behind the last row (:data:`EncodeShort`).
    """

    tokens: tuple[str, ...]
    chunks: tuple[Chunk, ...]
    embeddings: torch.Tensor
    pooled: torch.Tensor | None = None
    cut: str = ""
    padding: int = 0

    def __post_init__(self) -> None:
        if self.embeddings.shape[0] != len(self.tokens) or not self.chunks or self.chunks[-1].stop != len(self.tokens):
            raise ValueError(f"{len(self.tokens)} tokens do not fit embeddings of shape {tuple(self.embeddings.shape)}")

    @property
    def words(self) -> list[int]:
        """The positions of the prompt's own tokens, over all chunks."""
        return [position for chunk in self.chunks for position in chunk.words]


Encode = Callable[[Sequence[str]], Sequence[EncodedPrompt]]
"""A host's encoder: all prompts in one call, the answers in the same order."""
SHORT_PADDING = 5
"""How many rows of padding a short window has. Behind these, padding says nearly what the last of them says."""
EncodeShort = Encode
"""The same in windows that end :data:`SHORT_PADDING` rows behind the end token, which take a tenth of the time.

In a causal encoder the rows that are left are the same as in a whole window.
"""


def short_length(words: range, whole: int) -> int:
    """The rows of a short window, of a prompt with these words in a window of ``whole`` rows."""
    return min(whole, words.stop + 1 + SHORT_PADDING)


def short_prompt(pieces: Sequence[str], words: range, rows: torch.Tensor) -> EncodedPrompt:
    """A prompt in its short window.

    Args:
        pieces: of the whole window, which is the only one.
        words: the positions of the prompt's own tokens.
        rows: embeddings, (tokens, width), at least so many as the short window has; more are left out.
    """
    length = short_length(words, len(pieces))
    return EncodedPrompt(tuple(pieces[:length]), (Chunk(0, words, length),), rows[:length], padding=len(pieces) - length)


def check_read(source: str, destination: str, cut: str, limit: int) -> None:
    """Raise :class:`EditError` where two texts that read the same differ in what was ``cut``, behind ``limit`` tokens."""
    if cut:
        raise EditError(
            f"“{shortened(source)}” and “{shortened(destination)}” differ only behind the {limit} tokens that the text encoder "
            f"reads; write both shorter. It does not see “{shortened(cut)}”."
        )
