"""Which text encoder an edit was made for, by its embeddings of one prompt."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .encoding import Encode, EncodedPrompt

_IDENTITY_TOKENS = 16
SAME_ENCODER = 0.02
"""Relative difference up to which another's moment serves as well: it moves unrelated prompts alike, see docs/moments.md."""
RELATED_ENCODER = 0.25
ASKED_AGAIN = 1e-5
"""How far the very same encoder may be: one prompt by itself is rounded in another way than in a batch."""


@dataclass(frozen=True)
class EncoderIdentity:
    """What a text encoder makes of one prompt: enough to tell whether another encoder speaks the same language.

    Args:
        prompt: the text.
        embeddings: (up to 16 tokens, width), float32.
    """

    prompt: str
    embeddings: torch.Tensor

    @classmethod
    def of(cls, prompt: str, encoded: EncodedPrompt) -> EncoderIdentity:
        """The identity of the encoder that gave ``encoded``."""
        return cls(prompt, encoded.embeddings[:_IDENTITY_TOKENS].to("cpu", torch.float32).clone())

    @property
    def unit(self) -> torch.Tensor:
        """(width,), the size of each coordinate: its root mean square over the sample; 1 where the sample has none."""
        sizes = self.embeddings.square().mean(dim=0).sqrt()
        return torch.where(sizes > 0, sizes, 1.0)

    def distance(self, encode: Encode) -> float:
        """:meth:`apart` from another encoder."""
        return self.apart(encode([self.prompt])[0].embeddings)

    def apart(self, embeddings: torch.Tensor) -> float:
        """Relative difference of another encoder's embeddings of the prompt, (tokens, width); infinite for another width.

        The root mean square over the tokens, each relative to its own length, coordinates in their own units: neither a token
        nor a coordinate that is much larger than the others decides alone.
        """
        theirs = embeddings[: len(self.embeddings)].to("cpu", torch.float32)
        if theirs.shape != self.embeddings.shape:
            return float("inf")
        apart, sizes = ((rows / self.unit).square().sum(dim=1) for rows in (theirs - self.embeddings, self.embeddings))
        return float((apart / sizes.clamp(min=torch.finfo(torch.float32).tiny)).mean().sqrt())
