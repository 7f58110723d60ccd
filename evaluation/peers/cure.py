"""Our reading of CURE: what sets a concept's tokens apart from retained ones is projected out of the weights.

Das Biswas, Roy, Roy, "CURE: Concept Unlearning via Orthogonal Representation Editing in Diffusion Models" (NeurIPS 2025). Of
the tokens of what is to be forgotten, with singular values sigma_i and right singular vectors v_i, and of retained tokens
likewise, the *spectral eraser* makes

    r_i = sigma_i² / sum_j sigma_j²        f(r; alpha) = alpha r / ((alpha - 1) r + 1)        P = sum_i f(r_i; alpha) v_i v_i^T

    P_dis = P_f - P_f P_r        W' = W - W P_dis

The authors have published no code for it; these equations are as others quote them.

What differs from the paper: it only takes away. An edit has a destination, so what is taken of each token is given back as its
destination: with the source tokens as the rows of C = U S V^T and what they should be as those of D, the direction v_i = C^T
u_i / sigma_i becomes D^T u_i / sigma_i, which makes

    W' = W - W P_dis + W D^T U S^-1 diag(f) V^T (I - P_r) = W (I + (D - C)^T U S^-1 diag(f) V^T (I - P_r))

D = 0 is the paper's own edit. Forgotten are those of the source's tokens that are to change; retained are the others, and the
tokens of the bare name of everything that is seen. alpha and which positions take part are chosen on the validation half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...editing.assumptions.context_map import ContextMap
from ...editing.assumptions.prompt_pair import PromptPair
from ...editing.assumptions.recipe import Recipe
from ...editing.assumptions.token_columns import columns_of
from ..suite_methods import Pair, Seen


def expansion(sizes: torch.Tensor, alpha: float) -> torch.Tensor:
    """f(r_i; alpha) of singular values sigma_i, from 0 to 1: with alpha 1 a direction's share of the energy."""
    share = sizes.square() / sizes.square().sum()
    return alpha * share / ((alpha - 1) * share + 1)


def spectral_projector(tokens: torch.Tensor, alpha: float) -> torch.Tensor:
    """P of some tokens: (tokens, width) to (width, width)."""
    _, sizes, directions = torch.linalg.svd(tokens, full_matrices=False)
    projector: torch.Tensor = (directions.T * expansion(sizes, alpha)) @ directions
    return projector


def redirected(forget: torch.Tensor, become: torch.Tensor, retain: torch.Tensor, alpha: float) -> ContextMap:
    """The map that gives back what the spectral eraser takes as what it should become.

    Args:
        forget, become: C and D, (tokens, width), float64; D = 0 only takes away.
        retain: (retained tokens, width), float64.
        alpha: more takes weak directions, too, and retains them.
    """
    left, sizes, directions = torch.linalg.svd(forget, full_matrices=False)
    known = sizes > sizes[0] * 1e-10
    left, sizes, directions = left[:, known], sizes[known], directions[known]
    taken = (left * (expansion(sizes, alpha) / sizes)) @ directions
    return ContextMap.from_product((become - forget).T, taken - taken @ spectral_projector(retain, alpha))


@dataclass(frozen=True)
class Cure:
    """CURE's edit, redirected.

    Args:
        alpha: of the spectral expansion.
        positions: which tokens take part (:func:`~...editing.assumptions.token_columns.positions_of`).
    """

    alpha: float = 2.0
    positions: str = "all"

    def __call__(self, seen: Seen, edits: Sequence[Pair]) -> ContextMap:
        """The map."""
        pairs = tuple(PromptPair(edit.source, edit.destination, augmentations=()) for edit in edits)
        recipe = Recipe(pairs, tuple(text for text in seen.bare if text not in {pair.source for pair in pairs}))
        prompts = recipe.prompts()
        columns = columns_of(recipe, dict(zip(prompts, seen.encode(prompts), strict=True)), self.positions)
        changes = columns.shift().abs().amax(dim=1) != 0
        tokens, become = columns.source.double(), columns.targets().double()
        return redirected(tokens[changes], become[changes], tokens[~changes], self.alpha)
