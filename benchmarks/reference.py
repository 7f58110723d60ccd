"""The yardsticks: TIME's equation 5 written out plainly in float32, and its solution in float64.

TIME (Orgad, Kawar, Belinkov, "Editing Implicit Assumptions in Text-to-Image Diffusion Models", ICCV 2023): for every
projection W, with c_i the source tokens and v_i = W c*_i what they should become,

    W' = (lambda W + sum_i v_i c_i^T) (lambda I + sum_i c_i c_i^T)^-1

Nothing here imports the package that is measured against it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

Tokens = Sequence[torch.Tensor]
"""One (tokens, width) tensor for each sentence."""


def edit_plainly(weights: Sequence[torch.Tensor], source: Tokens, destination: Tokens, strength: float) -> list[torch.Tensor]:
    """W' of every W (out, width) as the equation reads: an outer product for each token, summed; an inverse for each W.

    The outer products of a sentence are made in one batch, as in the implementation that the paper's authors published.

    Args:
        weights: the projections.
        source, destination: the sentences' aligned tokens c and c*.
        strength: lambda.
    """
    edited = []
    for weight in weights:
        left = strength * weight
        right = strength * torch.eye(weight.shape[1], dtype=weight.dtype)
        for tokens, wanted in zip(source, destination, strict=True):
            values = wanted @ weight.T
            left = left + (values[:, :, None] * tokens[:, None, :]).sum(dim=0)
            right = right + (tokens[:, :, None] * tokens[:, None, :]).sum(dim=0)
        edited.append(left @ torch.inverse(right))
    return edited


def edit_in_place(weights: Sequence[torch.Tensor], source: Tokens, destination: Tokens, strength: float) -> list[torch.Tensor]:
    """The same, each outer product added in place to its sum, so that none is kept in memory."""
    edited = []
    for weight in weights:
        left = strength * weight
        right = strength * torch.eye(weight.shape[1], dtype=weight.dtype)
        for tokens, wanted in zip(source, destination, strict=True):
            for token, value in zip(tokens, wanted @ weight.T, strict=True):
                left.addr_(value, token)
                right.addr_(token, token)
        edited.append(left @ torch.inverse(right))
    return edited


def edit_with_products(
    weights: Sequence[torch.Tensor], source: Tokens, destination: Tokens, strength: float
) -> list[torch.Tensor]:
    """The same, each sum of outer products as one matrix product. Everything is still done anew for every W."""
    tokens, wanted = torch.cat(list(source)), torch.cat(list(destination))
    edited = []
    for weight in weights:
        left = strength * weight + (wanted @ weight.T).T @ tokens
        right = strength * torch.eye(weight.shape[1], dtype=weight.dtype) + tokens.T @ tokens
        edited.append(left @ torch.inverse(right))
    return edited


def optimum(weights: Sequence[torch.Tensor], source: Tokens, destination: Tokens, strength: float) -> list[torch.Tensor]:
    """W' of every W in float64, by solving instead of inverting."""
    return [_solved(weight.double(), torch.cat(list(source)), torch.cat(list(destination)), strength) for weight in weights]


def _solved(weight: torch.Tensor, tokens: torch.Tensor, wanted: torch.Tensor, strength: float) -> torch.Tensor:
    tokens, wanted = tokens.double(), wanted.double()
    left = strength * weight + weight @ wanted.T @ tokens
    right = strength * torch.eye(weight.shape[1], dtype=torch.float64) + tokens.T @ tokens
    return torch.linalg.solve(right, left, left=False)


def distance(weights: Sequence[torch.Tensor], edited: Sequence[torch.Tensor], best: Sequence[torch.Tensor]) -> float:
    """||(W' - W) - (W* - W)|| / ||W* - W||, Frobenius, over all projections; W* is the :func:`optimum`."""
    missed = sum(float((got.double() - want).square().sum()) for got, want in zip(edited, best, strict=True))
    asked = sum(float((want - weight.double()).square().sum()) for weight, want in zip(weights, best, strict=True))
    return (missed / asked) ** 0.5
