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

Both are solved in coordinates in which S is the identity, beside tokens that must not change at all (:mod:`.space`). A
problem of few tokens is solved by its tokens, one of many by sums over them (:mod:`.sums`). What of the map no picture would
show can be left out of it (:mod:`.principal`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..cholesky import cholesky
from ..errors import EditError
from .carry import Carried, Progress
from .context_map import ContextMap
from .principal import principal
from .recipe import DEFAULT_REGULARIZATION
from .space import Moment, Space, space_of
from .sums import Sums, cross_of
from .token_columns import Columns, equal_tokens
from .wide_space import WideSpace

EXACT = 0.0
_ROOM = 1e-3
"""Share of the edited tokens, by their length, that has to lie beside what is strictly protected."""


@dataclass(frozen=True)
class Solution:
    """A solved edit and what is known of it.

    Args:
        context_map: M, on the CPU.
        tokens: distinct tokens in the problem, preserved ones included.
        edited: how many of them are to change.
        residual: what is left between M c and the target over the edited tokens, relative to what was asked (Frobenius, by
            coordinates in the moment's units where there is one); a token counts by its weight, as often as it was asked for,
            and several targets of one token count as their weighted mean.
        regularization: the lambda that was used, after scaling.
    """

    context_map: ContextMap
    tokens: int
    edited: int
    residual: float
    regularization: float


def token_scale(columns: Columns | Sequence[Columns]) -> float:
    """Median squared norm of a source token over the width: about 1 for SD 1.x, what other encoders need lambda times."""
    parts = _parts(columns)
    squared = torch.cat([torch.linalg.vector_norm(part.source, dim=1, dtype=torch.float64).square() for part in parts])
    return float(squared.median()) / parts[0].width


def solve(
    columns: Columns | Sequence[Columns],
    regularization: float = DEFAULT_REGULARIZATION,
    scaled: bool = True,
    moment: Moment | None = None,
    protected: torch.Tensor | None = None,
    tolerance: float = EXACT,
    carried: Carried | None = None,
) -> Solution:
    """Minimise the objective above over all columns, in float64, by whichever side is smaller, where the embeddings are.

    Args:
        columns: the tokens of all pairs and preserved prompts, at once or in parts.
        regularization: lambda, above 0.
        scaled: on the identity, multiply lambda by :func:`token_scale`, so that it means the same on every text encoder. Off,
            lambda is the paper's.
        moment: S, (width, width), symmetric and positive definite, or that of wide embeddings; None is the paper's identity.
            Lambda is in S's own units: a mean over tokens in the place of S holds as much as lambda tokens do.
        protected: tokens that do not change at all, (tokens, width).
        tolerance: how much of M - I may be left out, so that its rank is lower: the objective grows by its square, relative to
            tr((M - I) H (M - I)^T), H being C D C^T + lambda S. :data:`EXACT` leaves out nothing.
        carried: how far the solution is carried in the end, several pairs each by itself; None leaves it as it is.

    Raises:
        EditError: the edit would change nothing, its result is not finite, or what is protected leaves no room for it.
    """
    if not regularization > 0:
        raise EditError(f"The regularization is {regularization:g}; give a number greater than 0.")
    parts = _parts(columns)
    width = parts[0].width
    strength = regularization * (token_scale(parts) if scaled and moment is None else 1.0)
    space = space_of(width, moment, protected, parts[0].source.device)
    tokens, group = equal_tokens([part.source for part in parts])
    problem: _Dual | _Primal
    if isinstance(space, WideSpace) or len(group) <= width:
        problem = _Dual(parts, space, strength)
    else:
        problem = _Primal(parts, space, strength)
    context_map = problem.context_map(tolerance)
    solved = problem.solved(context_map)
    if solved.asked == 0:
        raise EditError("The edit would change nothing: the text encoder sees the same in source and destination.")
    if solved.room < _ROOM:
        raise EditError("The edit would change nothing: its source is strictly preserved; take it out of that list.")
    if not context_map.rank:
        raise EditError("The edit would change nothing: lower the regularization or raise the strength.")
    shared = _shared(group, solved.changes)
    asked = solved.asked - _conflict(parts, group, shared, space.unit)
    factor = carried.factor(solved.along, asked) if carried else 1.0
    if carried and (more := carried.asks(parts, context_map, space.unit, shared, factor)):
        context_map, factor = problem.context_map(tolerance, more), 1.0
        solved = problem.solved(context_map)
    edited = len(group[solved.changes].unique())
    residual = Progress(asked, solved.moved, solved.along).residual(factor)
    return Solution(context_map.scale(factor).to("cpu"), tokens, edited, residual, strength)


def _parts(columns: Columns | Sequence[Columns]) -> list[Columns]:
    return [columns] if isinstance(columns, Columns) else list(columns)


@dataclass(frozen=True)
class _Solved:
    """Which tokens were to change; what was asked of them, how far they move, and how far along what was asked, all squared, in
    units of the coordinates; the share of their length that was free to be changed."""

    changes: torch.Tensor
    asked: float
    moved: float
    along: float
    room: float


class _Dual:
    """The problem by its tokens; factorised once, whatever is asked of them."""

    def __init__(self, parts: Sequence[Columns], space: Space | WideSpace, strength: float) -> None:
        columns = Columns.joined(parts)
        self.space, self.root = space, columns.weight.sqrt()[:, None]
        self.shift = self._shift(columns)
        self.changes = self.shift.abs().amax(dim=1) != 0
        self.weighed = columns.source.double() * self.root
        self.tokens = space.seen(self.weighed)
        self.gram = self.tokens @ self.tokens.T
        self.factor = cholesky(self.gram + strength * torch.eye(len(self.gram), dtype=torch.float64, device=self.gram.device))

    def _shift(self, columns: Columns) -> torch.Tensor:
        return columns.shift() * self.root / self.space.unit

    def context_map(self, tolerance: float, parts: Sequence[Columns] | None = None) -> ContextMap:
        """M of what is asked; of what ``parts`` ask of the same tokens, if given."""
        shift = self.shift if parts is None else self._shift(Columns.joined(parts))
        if tolerance:
            solved = torch.cholesky_solve(shift, self.factor)
            basis = principal(shift, self.gram @ solved, tolerance)
            if basis is not None:
                return _map(basis, self.space, (solved @ basis).T @ self.tokens)
        left = (shift * self.space.unit)[self.changes].T
        return ContextMap.from_product(left, self.space.back(torch.cholesky_solve(self.tokens, self.factor)[self.changes]))

    def solved(self, context_map: ContextMap) -> _Solved:
        """What is known of a map."""
        space, changes = self.space, self.changes
        shift, weighed = self.shift[changes], self.weighed[changes]
        left = context_map.left.double() / space.unit[:, None]
        moved = (weighed @ context_map.right.double().T) @ left.T
        room = 1.0 if space.free is None else _share(self.tokens[changes].norm(), space.unconfined.seen(weighed).norm())
        asked, length, along = (float((one * other).sum()) for one, other in ((shift, shift), (moved, moved), (moved, shift)))
        return _Solved(changes, asked, length, along, room)


class _Primal:
    """The problem by sums over its tokens; factorised once, whatever is asked of them."""

    def __init__(self, parts: Sequence[Columns], space: Space, strength: float) -> None:
        self.space, self.sums = space, Sums.of(parts)
        system = space.seen_moment(self.sums.whole)
        self.factor = cholesky(system.diagonal_scatter(system.diagonal() + strength))

    def context_map(self, tolerance: float, parts: Sequence[Columns] | None = None) -> ContextMap:
        """M of what is asked; of what ``parts`` ask of the same tokens, if given."""
        space = self.space
        seen = space.seen_cross((self.sums.cross if parts is None else cross_of(parts)) / space.unit)
        solved = torch.cholesky_solve(seen, self.factor)
        basis = principal(seen, solved, tolerance) if tolerance else None
        if basis is not None:
            return _map(basis, space, (solved @ basis).T)
        whole = space.back(solved.T) * space.unit[:, None]
        eye = torch.eye(len(whole), dtype=whole.dtype, device=whole.device)
        return ContextMap(whole.float(), eye.float()) if tolerance else ContextMap.from_product(whole, eye)

    def solved(self, context_map: ContextMap) -> _Solved:
        """What is known of a map."""
        space, sums = self.space, self.sums
        left, right = context_map.left.double() / space.unit[:, None], context_map.right.double()
        moved = ((left.T @ left) * (right @ sums.edited @ right.T)).sum()
        along = (left.T * (right @ (sums.cross / space.unit))).sum()
        asked = (sums.asked / space.unit.square()).sum()
        room = 1.0
        if space.free is not None:
            inside, whole = (each.seen_moment(sums.edited).trace().clamp(min=0).sqrt() for each in (space, space.unconfined))
            room = _share(inside, whole)
        return _Solved(sums.changes, float(asked), float(moved), float(along), room)


def _map(basis: torch.Tensor, space: Space | WideSpace, rows: torch.Tensor) -> ContextMap:
    """I + U (U^T Δ), from U in units of the coordinates and U^T Δ in the space's coordinates."""
    return ContextMap((basis * space.unit[:, None]).float(), space.back(rows).float())


def _share(part: torch.Tensor, whole: torch.Tensor) -> float:
    return float(part / whole) if whole > 0 else 0.0


def _shared(group: torch.Tensor, changes: torch.Tensor) -> torch.Tensor:
    """Which of the tokens that are to change are equal to others of them."""
    count = torch.bincount(group[changes], minlength=int(group.max()) + 1)
    return changes & (count[group] > 1)


def _conflict(parts: Sequence[Columns], group: torch.Tensor, shared: torch.Tensor, unit: torch.Tensor) -> float:
    """What no map can do: the squared distance of equal tokens' targets from their weighted mean."""
    if not shared.any():
        return 0.0
    _, place = group[shared].unique(return_inverse=True)
    sizes = [len(part) for part in parts]
    rows = [
        (Columns.joined([part]).shift()[chosen] / unit, part.weight[chosen])
        for part, chosen in zip(parts, shared.split(sizes), strict=True)
        if chosen.any()
    ]
    shift, weight = (torch.cat(side) for side in zip(*rows, strict=True))
    total = torch.zeros(int(place.max()) + 1, dtype=torch.float64, device=unit.device).index_add_(0, place, weight)
    mean = torch.zeros(len(total), len(unit), dtype=torch.float64, device=unit.device)
    mean.index_add_(0, place, shift * weight[:, None])
    return float((shift.square() * weight[:, None]).sum() - (mean.square().sum(dim=1) / total).sum())
