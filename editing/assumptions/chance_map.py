"""The maps of a recipe that draws by chance: one for each combination of variants, all from one solve.

The solution M = I + E D C^T (C D C^T + lambda S)^-1 of :mod:`.closed_form` is linear in E, what is asked of the sources' tokens
C. Only the columns of E that belong to a subject differ between its variants, so all combinations share

    R = D C^T (C D C^T + lambda S)^-1        and        M_k = I + (L_0 + sum over subjects s of L_s,k(s)) R

with L_0 for all that holds for every picture, and L_s,k the columns of E that subject s has when it draws its variant k.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch

from ..cholesky import cholesky
from ..errors import EditError
from .carry import Progress
from .context_map import ContextMap
from .space import Moment, Space, space_of
from .sums import Sums
from .token_columns import Columns, equal_tokens
from .wide_space import WideSpace

_TOLERANCE = 1e-7
"""How much of all maps together may be left out, relative (Frobenius)."""
_LEAST_DONE = 0.999
"""Share of what a variant asks that may be missing before it counts as refused."""


@dataclass(frozen=True)
class ChanceMap:
    """All maps of a recipe.

    Args:
        always: L_0, (width, rank), for every picture.
        variants: of each subject L_k, (variants, width, rank).
        right: R, (rank, width).
    """

    always: torch.Tensor
    variants: tuple[torch.Tensor, ...]
    right: torch.Tensor

    def __post_init__(self) -> None:
        if not all(part.isfinite().all() for part in (self.always, *self.variants, self.right)):
            raise EditError("The edit is not finite; lower the strength or raise the regularization.")

    @property
    def width(self) -> int:
        """d, the width of a text embedding."""
        return self.right.shape[1]

    def map_of(self, drawn: Sequence[int]) -> ContextMap:
        """The map of a picture that has drawn these variants, one of each subject."""
        return ContextMap(self._left([drawn])[0], self.right)

    def mean(self, shares: Iterable[Sequence[float]]) -> ContextMap:
        """What pictures get on average, given each subject's shares, in as low a rank as it has."""
        left = self.always
        for variants, own in zip(self.variants, shares, strict=True):
            left = left + _mean(variants, own)
        return ContextMap.from_product(left, self.right)

    def scale(self, strength: float) -> ChanceMap:
        """Each map as I + strength (M - I)."""
        return replace(self, always=self.always * strength, variants=tuple(part * strength for part in self.variants))

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> ChanceMap:
        """The same elsewhere or in another precision."""
        variants = tuple(part.to(device, dtype) for part in self.variants)
        return ChanceMap(self.always.to(device, dtype), variants, self.right.to(device, dtype))

    def apply(self, embeddings: torch.Tensor, drawn: Sequence[Sequence[int] | None]) -> torch.Tensor:
        """M_k c for every token, row by row: (rows, tokens, width) to the same, in the input's type.

        Args:
            embeddings: of a batch.
            drawn: what each row has drawn; None leaves it as it is.
        """
        rows = [place for place, own in enumerate(drawn) if own is not None]
        if not rows:
            return embeddings
        wide = embeddings[rows].to(torch.promote_types(embeddings.dtype, self.right.dtype))
        left = self._left([own for own in drawn if own is not None])
        changed = embeddings.clone()
        changed[rows] = (wide + (wide @ self.right.T.to(wide)) @ left.mT.to(wide)).to(embeddings.dtype)
        return changed

    def _left(self, drawn: Sequence[Sequence[int]]) -> torch.Tensor:
        """L_0 + sum L_s,k(s): (rows, width, rank)."""
        left = self.always.expand(len(drawn), -1, -1)
        for subject, variants in enumerate(self.variants):
            left = left + variants[[own[subject] for own in drawn]]
        return left


class ChanceMapOn:
    """A chance map that is copied to each device once, for hosts that map text at every step."""

    def __init__(self, chance: ChanceMap) -> None:
        self._copies = {chance.right.device: chance}
        self._first = chance

    def apply(self, embeddings: torch.Tensor, drawn: Sequence[Sequence[int] | None]) -> torch.Tensor:
        """:meth:`ChanceMap.apply` where the embeddings are."""
        if embeddings.device not in self._copies:
            self._copies[embeddings.device] = self._first.to(embeddings.device)
        return self._copies[embeddings.device].apply(embeddings, drawn)


def solve_chances(
    always: Sequence[Columns],
    subjects: Sequence[Sequence[Sequence[Columns]]],
    strength: float,
    moment: Moment | None = None,
    protected: torch.Tensor | None = None,
) -> ChanceMap:
    """Solve all combinations at once, in float64.

    Args:
        always: what is asked for every picture, and what is preserved.
        subjects: of each subject, for each variant, what is asked then: the same source tokens and weights in every variant.
        strength: lambda, as it stands in the equation.
        moment, protected: see :func:`~.closed_form.solve`.

    Raises:
        EditError: a result is not finite.
    """
    parts = [*always, *(part for variants in subjects for part in variants[0])]
    width, device = parts[0].width, parts[0].source.device
    space, requests = space_of(width, moment, protected, device), _requests(parts, always, subjects)
    if isinstance(space, WideSpace) or sum(map(len, parts)) <= width:
        lefts, right = _by_tokens(parts, requests, space, strength)
    else:
        lefts, right = _by_sums(parts, requests, space, strength)
    return _reduced(lefts, right, [len(variants) for variants in subjects])


def progress_of(
    chance: ChanceMap,
    always: Sequence[Columns],
    subjects: Sequence[Sequence[Sequence[Columns]]],
    shares: Sequence[Sequence[float]],
    unit: torch.Tensor | None = None,
) -> Progress:
    """How far the maps go.

    Args:
        chance: the solution.
        always, subjects: what was asked, as for :func:`solve_chances`.
        shares: of each subject's variants.
        unit: (width,), the size of each coordinate; None are ones.

    Raises:
        EditError: some variant asks for nothing, or hardly anything of it is done.
    """
    # What other subjects draw meanwhile is their mean, which is near enough for a measure.
    middle = [_mean(part, own) for part, own in zip(chance.variants, shares, strict=True)]
    total = torch.stack([chance.always, *middle]).sum(dim=0)
    parts = [(1.0, _progress(always, total, chance.right, unit))]
    for own, variants, part, mean in zip(shares, subjects, chance.variants, middle, strict=True):
        for share, asked, left in zip(own, variants, part, strict=True):
            progress = _progress(asked, total - mean + left, chance.right, unit)
            if progress.asked and progress.residual() > _LEAST_DONE:
                raise EditError(
                    "An edit by chance would change nothing: do not preserve its source, or lower the regularization."
                )
            parts.append((share, progress))
    asked, moved, along = (sum(share * getattr(own, name) for share, own in parts) for name in ("asked", "moved", "along"))
    if not asked:
        raise EditError("The edit would change nothing: the text encoder sees the same in source and destination.")
    return Progress(asked, moved, along)


def _mean(variants: torch.Tensor, shares: Sequence[float]) -> torch.Tensor:
    """sum over k of share k times L_k: (variants, width, rank) to (width, rank)."""
    mean: torch.Tensor = torch.tensordot(torch.tensor(shares, dtype=variants.dtype, device=variants.device), variants, dims=1)
    return mean


def _progress(parts: Sequence[Columns], left: torch.Tensor, right: torch.Tensor, unit: torch.Tensor | None) -> Progress:
    sizes = [0.0, 0.0, 0.0]
    for part in parts:
        shift = part.shift()
        rows = shift.abs().amax(dim=1) != 0
        units = 1.0 if unit is None else unit.to(shift.device)
        moved = (part.source[rows].double() @ right.double().T) @ left.double().T / units
        asked, weight = shift[rows] / units, part.weight[rows, None]
        for place, (one, other) in enumerate(((asked, asked), (moved, moved), (moved, asked))):
            sizes[place] += float((one * other * weight).sum())
    return Progress(*sizes)


def token_counts(
    parts: Sequence[Columns], always: Sequence[Columns], subjects: Sequence[Sequence[Sequence[Columns]]]
) -> tuple[int, int]:
    """Distinct tokens of a problem, and how many of them some variant changes."""
    count, group = equal_tokens([part.source for part in parts])
    changes = [part.shift().abs().amax(dim=1) != 0 for part in always]
    for variants in subjects:
        each = [torch.cat([part.shift().abs().amax(dim=1) != 0 for part in parts]) for parts in variants]
        changes.append(torch.stack(each).any(dim=0))
    return count, len(group[torch.cat(changes)].unique())


@dataclass(frozen=True)
class _Request:
    """Columns that are asked at once, and which of all columns they are."""

    parts: Sequence[Columns]
    place: slice


def _requests(
    parts: Sequence[Columns], always: Sequence[Columns], subjects: Sequence[Sequence[Sequence[Columns]]]
) -> list[_Request]:
    """That of every picture, then that of each variant of each subject."""
    begin = sum(map(len, always))
    requests = [_Request(always, slice(0, begin))]
    for variants in subjects:
        end = begin + sum(map(len, variants[0]))
        requests += [_Request(asked, slice(begin, end)) for asked in variants]
        begin = end
    return requests


def _by_tokens(
    parts: Sequence[Columns], requests: Sequence[_Request], space: Space | WideSpace, strength: float
) -> tuple[list[torch.Tensor], torch.Tensor]:
    columns = Columns.joined(parts)
    root = columns.weight.sqrt()[:, None]
    tokens = space.seen(columns.source.double() * root)
    factor = cholesky(tokens @ tokens.T + strength * torch.eye(len(tokens), dtype=tokens.dtype, device=tokens.device))
    right = space.back(torch.cholesky_solve(tokens, factor))
    lefts = []
    for request in requests:
        left = torch.zeros(right.shape[1], len(right), dtype=right.dtype, device=right.device)
        if request.parts:
            left[:, request.place] = (Columns.joined(request.parts).shift() * root[request.place]).T
        lefts.append(left)
    return lefts, right


def _by_sums(
    parts: Sequence[Columns], requests: Sequence[_Request], space: Space, strength: float
) -> tuple[list[torch.Tensor], torch.Tensor]:
    system = space.seen_moment(Sums.of(parts).whole)
    factor = cholesky(system.diagonal_scatter(system.diagonal() + strength))
    right = space.back(torch.cholesky_inverse(factor))
    nothing = torch.zeros(right.shape[1], len(right), dtype=right.dtype, device=right.device)
    lefts = [space.seen_cross(Sums.of(request.parts).cross).T if request.parts else nothing for request in requests]
    return lefts, right


def _reduced(lefts: Sequence[torch.Tensor], right: torch.Tensor, counts: Sequence[int]) -> ChanceMap:
    """The same products in as low a rank as all of them together have, R with orthonormal rows."""
    rows, triangle = torch.linalg.qr(right.T)
    lefts = [left @ triangle.T for left in lefts]
    gram = sum((left.T @ left for left in lefts), torch.zeros_like(triangle @ triangle.T))
    energy, vectors = torch.linalg.eigh(gram)
    lost = energy.clamp(min=0).cumsum(0)
    vectors = vectors[:, lost > _TOLERANCE**2 * lost[-1]]
    always, *variants = [(left @ vectors).float() for left in lefts]
    grouped = torch.stack(variants).split(list(counts)) if variants else ()
    return ChanceMap(always, tuple(grouped), (rows @ vectors).T.float())
