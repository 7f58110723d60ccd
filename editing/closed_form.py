"""The solve: columns in, ContextMap out.

TIME (Orgad, Kawar, Belinkov, ICCV 2023), equation 5, minimises for every key and value projection W of every
cross-attention layer

    sum_i w_i ||W' c_i - W c*_i||² + lambda ||W' - W||²_F

With C and C* the embeddings as columns, E = C* - C and D = diag(w), the solution is W' = W M for all of them at once:

    M = I + E D C^T (C D C^T + lambda I)^-1            primal, d x d
      = I + E D^½ (D^½ C^T C D^½ + lambda I)^-1 D^½ C^T      dual, tokens x tokens

lambda I protects every direction alike. With S, the second moment of the tokens of ordinary prompts (MEMIT's choice: Meng et
al., ICLR 2023), in its place, it is the directions that prompts use that are protected:

    M = I + E D C^T (C D C^T + lambda S)^-1
      = I + E D^½ (D^½ C^T S^-1 C D^½ + lambda I)^-1 D^½ C^T S^-1

Tokens that must not change at all leave only the complement of their span, with the basis Q (:mod:`.null_space`): the same
formulas with Q^T C for C outside of E, Q^T S Q for S, and Q^T behind the whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .columns import Columns
from .context_map import ContextMap
from .errors import EditError
from .null_space import complement
from .recipe import DEFAULT_REGULARIZATION

_ROWS_AT_ONCE = 8192


@dataclass(frozen=True)
class Solution:
    """A solved edit and what is known of it.

    Args:
        context_map: M
        tokens: distinct tokens in the problem, preserved ones included.
        edited: how many of them are to change.
        residual: what is left between M c and the target over the edited tokens, relative to what was asked.
        regularization: the lambda that was used, after scaling.
    """

    context_map: ContextMap
    tokens: int
    edited: int
    residual: float
    regularization: float


def token_scale(columns: Columns) -> float:
    """Median squared norm of a source token over the width: about 1 for SD 1.x, what other encoders need lambda times."""
    squared = torch.cat([rows.double().square().sum(dim=1) for rows in columns.source.split(_ROWS_AT_ONCE)])
    return float(squared.median()) / columns.width


def solve(
    columns: Columns,
    regularization: float = DEFAULT_REGULARIZATION,
    scaled: bool = True,
    moment: torch.Tensor | None = None,
    protected: torch.Tensor | None = None,
) -> Solution:
    """Minimise the objective above over all columns, in float64, by whichever side is smaller.

    Args:
        columns: the tokens of all pairs and preserved prompts.
        regularization: lambda, above 0.
        scaled: multiply lambda by :func:`token_scale`, so that it means the same on every text encoder. Off, lambda is
            the paper's.
        moment: S, (width, width), symmetric and positive definite; None is the paper's identity. Its size does not matter,
            only its shape: it is scaled to the identity's trace.
        protected: tokens that do not change at all, (tokens, width).

    Raises:
        EditError: the edit would change nothing, its result is not finite, or what is protected leaves no room for it.
    """
    if not regularization > 0:
        raise EditError(f"The regularization is {regularization:g}; give a number greater than 0.")
    strength = regularization * (token_scale(columns) if scaled else 1.0)
    columns = columns.merged()
    root = columns.weight.sqrt()[:, None]
    prior = None if moment is None else moment.double() * (columns.width / moment.double().trace())
    free = None if protected is None else complement(protected)
    if free is not None and prior is not None:
        prior = free.T @ prior @ free
    left, right = (_dual if len(columns) <= columns.width else _primal)(columns, root, strength, prior, free)
    if not left.shape[1]:
        raise EditError("The edit would change nothing: the text encoder sees the same in source and destination.")
    if free is not None:
        right = right @ free.T
        if torch.linalg.vector_norm(right) < 1e-9:
            raise EditError("The edit would change nothing: its source is strictly preserved; take it out of that list.")
    context_map = ContextMap.from_product(left, right)
    if not context_map.rank:
        raise EditError("The edit would change nothing: lower the regularization or raise the strength.")
    edited, residual = _residual(columns, context_map)
    return Solution(context_map, len(columns), edited, residual, strength)


def _cholesky(matrix: torch.Tensor, strength: float, prior: torch.Tensor | None = None) -> torch.Tensor:
    """Of the matrix plus ``strength`` times the prior or the identity; the matrix is overwritten."""
    if prior is None:
        matrix.diagonal().add_(strength)
    else:
        matrix.add_(prior, alpha=strength)
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if failed or not factor.isfinite().all():
        raise EditError("The edit cannot be solved: raise the regularization.")
    return factor


def _within(tokens: torch.Tensor, free: torch.Tensor | None) -> torch.Tensor:
    return tokens.double() if free is None else tokens.double() @ free


def _dual(
    columns: Columns, root: torch.Tensor, strength: float, prior: torch.Tensor | None, free: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    tokens = _within(columns.source, free) * root
    shift = columns.shift() * root
    # Each token seen through the inverse of the prior.
    seen = tokens if prior is None else torch.cholesky_solve(tokens.T, _cholesky(prior.clone(), 0.0)).T
    solved = torch.cholesky_solve(seen, _cholesky(tokens @ seen.T, strength))
    edited = shift.abs().amax(dim=1) != 0
    return shift[edited].T, solved[edited]


def _primal(
    columns: Columns, root: torch.Tensor, strength: float, prior: torch.Tensor | None, free: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    room = columns.width if free is None else free.shape[1]
    second_moment = torch.zeros(room, room, dtype=torch.float64)
    cross = torch.zeros(room, columns.width, dtype=torch.float64)
    for start in range(0, len(columns), _ROWS_AT_ONCE):
        stop = start + _ROWS_AT_ONCE
        tokens = _within(columns.source[start:stop], free) * root[start:stop]
        second_moment.addmm_(tokens.T, tokens)
        cross.addmm_(tokens.T, columns.shift(start, stop) * root[start:stop])
    if cross.abs().max() == 0:
        return torch.zeros(columns.width, 0), torch.zeros(0, room)
    solved = torch.cholesky_solve(cross, _cholesky(second_moment, strength, prior))
    return solved.T, torch.eye(room, dtype=torch.float64)


def _residual(columns: Columns, context_map: ContextMap) -> tuple[int, float]:
    """How many tokens change, and ||M c - target|| / ||target - c|| over them, Frobenius."""
    missed = asked = 0.0
    edited = 0
    for start in range(0, len(columns), _ROWS_AT_ONCE):
        shift = columns.shift(start, start + _ROWS_AT_ONCE)
        rows = shift.abs().amax(dim=1) > 0
        tokens, shift = columns.source[start : start + _ROWS_AT_ONCE][rows].float(), shift[rows].float()
        edited += len(shift)
        asked += float(shift.square().sum())
        missed += float(((tokens @ context_map.right.T) @ context_map.left.T - shift).square().sum())
    return edited, (missed / asked) ** 0.5
