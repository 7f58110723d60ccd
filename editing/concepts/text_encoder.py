"""A text encoder as a host hands it in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..encoder_identity import EncoderIdentity
from ..encoding import Chunk, EncodedPrompt, short_length, short_prompt
from .keys import device_of
from .sentences import Tokenize
from .tower import Tower

NAMES = ("clip_l", "clip_g", "clip_h")
"""CLIP-L (SD 1.x, SDXL's first), OpenCLIP-bigG (SDXL's second), OpenCLIP-H (SD 2.x)."""


@dataclass(frozen=True)
class TextEncoder:
    """One of a model's text encoders.

    Args:
        name: one of :data:`NAMES`.
        tower: its weights.
        tokenize: its own tokenizer.
        words: what it knows, whole words of that tokenizer (:func:`~..vocabulary.whole_words`).
    """

    name: str
    tower: Tower
    tokenize: Tokenize
    words: tuple[str, ...] = ()

    @torch.no_grad()
    def encode(self, prompts: Sequence[str], layers: int | None = None) -> list[EncodedPrompt]:
        """Prompts in one window each.

        Args:
            prompts: any.
            layers: how many are run; None for all, and then what the diffusion model reads.
        """
        tokens = self.tokenize(prompts)
        ids = torch.tensor([entry.ids for entry in tokens], device=device_of(self.tower))
        stream = self.tower.embed(ids)
        stream = self.tower.finish(stream, 0) if layers is None else self.tower.run(stream, 0, layers)
        return [
            EncodedPrompt(entry.pieces, (Chunk(0, entry.words, len(entry.ids)),), row)
            for entry, row in zip(tokens, stream.cpu(), strict=True)
        ]

    def identity(self, prompt: str, layers: int) -> EncoderIdentity:
        """What its first layers make of a prompt."""
        return EncoderIdentity.of(prompt, self.encode([prompt], layers)[0])


@torch.no_grad()
def encode_short(encoders: Sequence[TextEncoder], prompts: Sequence[str]) -> list[EncodedPrompt]:
    """What the diffusion model reads of prompts, in short windows (:data:`~..encoding.EncodeShort`).

    Args:
        encoders: all of the model's, in the order in which it reads their numbers.
        prompts: of one window each.
    """
    tokens = [encoder.tokenize(prompts) for encoder in encoders]
    longest = max(short_length(entry.words, len(entry.ids)) for entry in tokens[0])
    sides = []
    for encoder, own in zip(encoders, tokens, strict=True):
        ids = torch.tensor([entry.ids[:longest] for entry in own], device=device_of(encoder.tower))
        sides.append(encoder.tower.finish(encoder.tower.embed(ids), 0).cpu())
    rows = torch.cat(sides, dim=2)
    return [short_prompt(entry.pieces, entry.words, row) for entry, row in zip(tokens[0], rows, strict=True)]
