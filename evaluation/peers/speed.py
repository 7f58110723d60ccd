"""Our reading of SPEED: an edit in the null space of what is to stay, with the empty prompt held exactly.

Li et al., "SPEED: Scalable, Precise, and Efficient Concept Erasure for Diffusion Models" (ICLR 2026). With the target concepts'
last tokens as the columns of C1 and their anchors' as those of C*, a projector P onto the null space of what is retained and
the invariants C2, the change Δ P of a projection W that minimises

    ||(W + Δ P) C1 - W C*||² + ||Δ P||²        subject to        Δ P C2 = 0

is        Δ P = W (C* C1^T - C1 C1^T) P Q N,        N = (C1 C1^T P + I)^-1,        Q = I - N C2 (C2^T P N C2)^-1 C2^T P

P comes from the second moment of the retained tokens: its directions below a threshold. *Influence-based prior filtering*
retains only what the edit without a null space, W (C* C1^T - C1 C1^T)(I + C1 C1^T)^-1, moves by more than the mean; *directed
prior augmentation* adds each retained token several times, moved at random along the direction that W reads least, filtered
likewise.

What differs from the paper: it erases, towards an anchor; here the anchor is the edit's destination. It edits the values, each
layer with a filter of its own; here all key and value projections are one stacked W, as every edit of these tables is one map.
Its invariants are the start token and three k-means centres of the empty prompt's other tokens; here the span of the three
strongest directions of these other tokens is held beside the start token. What is retained is the bare name of everything
that is seen. The threshold is the one of the paper's code for few concepts, and so are ten moved copies of each token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...editing.assumptions.context_map import ContextMap
from ..suite_methods import Pair, Seen, last_words
from .text_gram import text_gram

_CENTRES = 3


def null_space(retained: torch.Tensor, threshold: float) -> torch.Tensor:
    """P, (width, width): onto where the second moment of the retained tokens, (n, width), is below a threshold."""
    energy, directions = torch.linalg.eigh(retained.T @ retained / max(1, len(retained)))
    weak: torch.Tensor = directions[:, energy < threshold]
    return weak @ weak.T


def change_in_null_space(
    sources: torch.Tensor, anchors: torch.Tensor, projector: torch.Tensor, invariants: torch.Tensor
) -> torch.Tensor:
    """M - I of the solution, W' = W M.

    Args:
        sources, anchors: C1 and C* as rows, (concepts, width), float64.
        projector: P, (width, width).
        invariants: C2 as rows, (invariants, width).

    Returns:
        (width, width), float64.
    """
    eye = torch.eye(sources.shape[1], dtype=sources.dtype)
    inverse = torch.linalg.inv(sources.T @ sources @ projector + eye)
    held = inverse @ invariants.T
    weighed = invariants @ projector
    beside = eye - held @ torch.linalg.pinv(weighed @ held) @ weighed
    change: torch.Tensor = (anchors - sources).T @ sources @ projector @ beside @ inverse
    return change


def invariants_of(empty: torch.Tensor) -> torch.Tensor:
    """The empty prompt's start token and the strongest directions of its other tokens: (tokens, width) to (1 + 3, width)."""
    return torch.cat([empty[:1], torch.linalg.svd(empty[1:], full_matrices=False).Vh[:_CENTRES]])


@dataclass(frozen=True)
class Speed:
    """SPEED's edit.

    Args:
        threshold: directions in which the retained tokens' second moment is below are free for the edit.
        copies: of each retained token, moved at random.
        seed: of these moves.
    """

    threshold: float = 0.1
    copies: int = 10
    seed: int = 0

    def __call__(self, seen: Seen, edits: Sequence[Pair]) -> ContextMap:
        """The map."""
        edited, kept = last_words(seen, edits)
        (empty,) = seen.encode([""])
        sources, anchors = edited.source.double(), edited.targets().double()
        retained = self._retained(kept.source.double(), sources, anchors, text_gram(seen, edited.width))
        invariants = invariants_of(empty.embeddings.double())
        change = change_in_null_space(sources, anchors, null_space(retained, self.threshold), invariants)
        return ContextMap.from_product(change, torch.eye(edited.width, dtype=torch.float64))

    def _retained(self, kept: torch.Tensor, sources: torch.Tensor, anchors: torch.Tensor, gram: torch.Tensor) -> torch.Tensor:
        """What is kept, filtered and with moved copies."""
        eye = torch.eye(kept.shape[1], dtype=torch.float64)
        unhindered = (anchors - sources).T @ sources @ torch.linalg.inv(eye + sources.T @ sources)

        def most_influenced(tokens: torch.Tensor) -> torch.Tensor:
            moved = tokens @ unhindered.T
            influence = ((moved @ gram) * moved).sum(1).clamp(min=0).sqrt()
            return tokens[influence > influence.mean()]

        retained = most_influenced(kept)
        least_read = torch.linalg.eigh(gram).eigenvectors[:, 0]
        moves = torch.randn(len(retained) * self.copies, 1, generator=torch.Generator().manual_seed(self.seed)).double()
        return torch.cat([retained, most_influenced(retained.repeat(self.copies, 1) + moves * least_read)])
