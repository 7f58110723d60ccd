"""Our reading of Semantic Surgery: a concept that a prompt is found to speak of is subtracted from its embeddings.

Xiong et al., "Semantic Surgery: Zero-Shot Concept Erasure in Diffusion Models" (NeurIPS 2025). With the embeddings e of a
prompt, e_c of each concept and e_0 of a neutral text, all (tokens, width), each concept's presence is

    alpha_c = sigmoid((cos(e_c - e_0, e) + beta) / gamma)        cos: mean over the positions

The concepts of a presence above tau are written into one text, separated by commas, which is encoded as e_erase (*co-occurrence
encoding*), and the prompt is generated from

    e' = e - alpha (e_erase - e_0)        alpha: the largest presence

What differs from the paper: an edit has a destination, so e_0 in this last line is the destinations' embedding, encoded
together likewise; presence is measured against the empty text. The empty prompt, which guidance reads, is left as it is, as it
is in the paper's code. The second stage, in which a detector looks at the picture and the prompt is treated again, is left out:
the source's thing is to stay in the picture, so that a detector of it says nothing. gamma and tau are the paper's. Its beta is
chosen for each task, from prompts with and without the concept; ours from the prompts of the validation half, without pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from ...editing.encoding import Encode
from ..suite_methods import Pair, Seen

NEUTRAL = ""
_SHARPNESS, _PRESENT = 0.02, 0.5


def presence(prompts: torch.Tensor, concept: torch.Tensor, beta: float) -> torch.Tensor:
    """alpha_c of each prompt: (prompts, tokens, width), and e_c - e_0, (tokens, width), to (prompts,)."""
    alike = torch.cosine_similarity(prompts, concept.expand_as(prompts), dim=-1).mean(dim=-1)
    return torch.sigmoid((alike + beta) / _SHARPNESS)


@dataclass(frozen=True)
class SemanticSurgery:
    """A map that looks at each prompt as a whole.

    Args:
        encode: the text encoder.
        pairs: source and destination of each edit.
        beta: what is added to the cosine: the more negative, the surer presence has to be.
    """

    encode: Encode
    pairs: tuple[tuple[str, str], ...]
    beta: float

    @cached_property
    def _neutral(self) -> torch.Tensor:
        return self._encoded(NEUTRAL)

    @cached_property
    def _concepts(self) -> list[torch.Tensor]:
        return [self._encoded(source) - self._neutral for source, _ in self.pairs]

    @cached_property
    def _exchanged(self) -> dict[tuple[int, ...], torch.Tensor]:
        return {}

    def _encoded(self, text: str) -> torch.Tensor:
        (encoded,) = self.encode([text])
        return encoded.embeddings

    def _exchange(self, present: tuple[int, ...]) -> torch.Tensor:
        """e_erase - e_0 of the edits that are present, (tokens, width)."""
        if present not in self._exchanged:
            sides = zip(*(self.pairs[place] for place in present), strict=True)
            erased, written = (self._encoded(", ".join(side)) for side in sides)
            self._exchanged[present] = erased - written
        return self._exchanged[present]

    def to(self, device: torch.device | str | None = None) -> SemanticSurgery:
        """The same: what it computes with follows the embeddings."""
        return self

    def apply(self, embeddings: torch.Tensor) -> torch.Tensor:
        """e' of each prompt: (prompts, tokens, width) to the same."""
        neutral = self._neutral.to(embeddings)
        found = torch.stack([presence(embeddings, concept.to(embeddings), self.beta) for concept in self._concepts], dim=1)
        mapped = embeddings.clone()
        for row, (prompt, own) in enumerate(zip(embeddings, found, strict=True)):
            present = tuple(int(place) for place in (own > _PRESENT).nonzero().flatten())
            if present and not torch.equal(prompt, neutral):
                mapped[row] = prompt - own.max() * self._exchange(present).to(embeddings)
        return mapped


def semantic_surgery(seen: Seen, edits: Sequence[Pair], beta: float = -0.18) -> SemanticSurgery:
    """The map of some edits."""
    return SemanticSurgery(seen.encode, tuple((edit.source, edit.destination) for edit in edits), beta)
