"""An edit: a recipe and its solution."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from ..encoder_identity import RELATED_ENCODER, SAME_ENCODER, EncoderIdentity
from ..encoding import Encode, EncodedPrompt
from ..errors import EditError
from ..projections import POOLED, Projection, select
from .carry import Carried
from .chance_map import ChanceMap, progress_of, solve_chances, token_counts
from .closed_form import EXACT, Solution, solve, token_scale
from .context_map import ContextMap
from .end_only import end_only_sources
from .erase import evoking_columns
from .moments import KnownMoment, read_captions, shrunk
from .pooled import pooled_map
from .reach import ordinary_reach
from .recipe import Recipe
from .space import Moment
from .token_columns import Columns, kept_parts, pair_parts, parts_of, preserved_tokens, unchanged_parts

_CAPTIONS_WEIGHT = 100.0
"""How heavy S is at a regularization of 1, in tokens for each of the width's numbers. A third of it, with less to make up for,
has a point less on the bundled model's validation edits, 50 at once; see docs/moments.md."""
CARRIED = Carried(reach=1.2, most=1.5)
"""How far the solution is carried: in related prompts, which are not solved, tokens go only part of the way to what the
destination says there. See docs/moments.md."""
VISIBLE = 3e-6
"""How much of a map is left out by default.

Of the bundled model's rose edit it leaves 37 directions of 71, and 96 % of weights in half precision are the same to the bit.
At 3e-4 pictures change as little as by the rounding of such weights, but only 31 % of these are the same.
"""

NO_WEIGHT = (
    "This edit is drawn by chance for every picture anew, so no weight, LoRA, hook or conditioning can hold it; save it as an "
    "edit, or write one destination in place of its variants."
)


@dataclass(frozen=True)
class Edit:
    """A recipe, the map that fulfils it, and what is known of both.

    Args:
        recipe: what was asked.
        context_map: the solution M.
        encoder: the text encoder that it was solved for.
        tokens, edited, residual: see :class:`~.closed_form.Solution`.
        ordinary_reach: how far ordinary captions move (:func:`~.reach.ordinary_reach`); None where they were not read.
        pooled_map: M of the pooled embedding, for recipes that edit it, too.
        end_only: sources of which no word moves (:mod:`.end_only`); empty for an edit from a file.
        chance: for recipes that draw, the map of every combination; ``context_map`` is their mean then, which no host puts on.
        norms: behind how many norms side by side the maps read text (:mod:`.behind_norm`); 0 where they read what the encoder
            gives.
        layers: the family of models whose own layers text passes before the maps read it; empty where it passes none.
    """

    recipe: Recipe
    context_map: ContextMap
    encoder: EncoderIdentity
    tokens: int
    edited: int
    residual: float
    ordinary_reach: float | None = None
    pooled_map: ContextMap | None = None
    end_only: tuple[str, ...] = ()
    chance: ChanceMap | None = None
    norms: int = 0
    layers: str = ""
    changes_what: ClassVar[str] = "the text projections (TIME)"

    def scale(self, strength: float) -> Edit:
        """The edit with I + strength (M - I) for M."""
        pooled = self.pooled_map.scale(strength) if self.pooled_map else None
        ordinary = None if self.ordinary_reach is None else abs(strength) * self.ordinary_reach
        chance = self.chance.scale(strength) if self.chance else None
        context_map = self.context_map.scale(strength)
        return replace(self, context_map=context_map, ordinary_reach=ordinary, pooled_map=pooled, chance=chance)

    def restated(self, strength: float) -> Edit:
        """The same as :meth:`scale`, and the recipe says so: for files, from which it may be solved again.

        Raises:
            EditError: a pair's strength would be beyond the limits.
        """
        return self if strength == 1 else replace(self.scale(strength), recipe=self.recipe.scale(strength))

    def chosen(self, projections: Iterable[Projection]) -> list[Projection]:
        """Those of a model's projections that the recipe is for. Raises :class:`EditError` as :func:`~..projections.select`."""
        recipe = self.recipe
        return select(projections, recipe.projections, recipe.blocks, recipe.pooled)

    def check_fixed(self) -> None:
        """Raise :class:`EditError` for an edit that every picture draws for itself, which no weight can hold."""
        if self.chance is not None:
            raise EditError(NO_WEIGHT)

    def map_of(self, projection: Projection) -> ContextMap | None:
        """The map that a projection's weight is multiplied by; None for a pooled input that the edit leaves."""
        return self.pooled_map if projection.kind == POOLED else self.context_map

    def maps(self, projections: Iterable[Projection], widths: Mapping[str, int]) -> dict[str, ContextMap]:
        """Key of each projection to the map of all that its weight reads; equal ones are one object.

        Args:
            projections: of a model.
            widths: key to how many numbers the weight reads.

        Raises:
            EditError: a weight is stored packed, or the edit is drawn by chance.
        """
        self.check_fixed()
        padded: dict[tuple[int, int], ContextMap] = {}
        maps = {}
        for projection in projections:
            context_map, width = self.map_of(projection), widths[projection.key]
            if context_map is None:
                continue
            if width < context_map.width:
                raise EditError(f"The weight {projection.key} is stored packed; load the model unquantised or in fp8.")
            if width > context_map.width:
                context_map = padded.setdefault((id(context_map), width), context_map.padded(width))
            maps[projection.key] = context_map
        return maps

    def check_encoder(self, encode: Encode) -> str:
        """Whether the edit is for this text encoder: "" when it is, a remark when it is a close relative.

        Raises:
            EditError: it is for another one.
        """
        distance = self.encoder.distance(encode)
        if not distance <= RELATED_ENCODER:  # so that nan is refused, too
            theirs = encode([self.encoder.prompt])[0].embeddings.shape[1]
            width = self.context_map.width
            made = f" (width {width}, this one gives {theirs})" if theirs != width else ""
            raise EditError(
                f"This edit was made for another text encoder{made}; connect the CLIP it was made with "
                "(same model family and same CLIP skip), or make the edit again from its recipe."
            )
        if distance > SAME_ENCODER:
            return f"made with a related text encoder ({distance:.0%} away); make it again from its recipe for full effect"
        return ""


def solve_regularized(
    columns: Columns | Sequence[Columns],
    regularization: float,
    scaled: bool = True,
    moment: Moment | None = None,
    protected: torch.Tensor | None = None,
    tolerance: float = EXACT,
    beside: Sequence[Columns] = (),
) -> Solution:
    """:func:`~.closed_form.solve` with the regularization as users give it.

    On the identity it is the lambda. On a moment, which is shrunk here (:func:`~.moments.shrunk`), it is so scaled that at the
    default of 0.1 the captions together weigh as much as 10 d tokens, d being the width. What S holds back in prompts that
    were not solved is made up for: the solution is carried further (:data:`CARRIED`).

    Args:
        columns: what was asked.
        regularization, scaled, moment, protected, tolerance: see :func:`~.closed_form.solve`.
        beside: more columns, which have no say in how large lambda is.
    """
    parts = [columns] if isinstance(columns, Columns) else list(columns)
    strength = _lambda(parts, regularization, scaled, moment)
    if moment is not None:
        return solve([*parts, *beside], strength, False, shrunk(moment), protected, tolerance, CARRIED)
    return solve([*parts, *beside], strength, False, None, protected, tolerance)


def _lambda(parts: Sequence[Columns], regularization: float, scaled: bool, moment: Moment | None) -> float:
    if moment is not None:
        return regularization * _CAPTIONS_WEIGHT * parts[0].width
    return regularization * (token_scale(parts) if scaled else 1.0)


def solve_edit(
    recipe: Recipe,
    encoded: Mapping[str, EncodedPrompt],
    moment: Moment | None,
    scaled: bool = True,
    tolerance: float = VISIBLE,
) -> Edit:
    """Align, solve.

    Args:
        recipe: what is asked.
        encoded: each of its prompts (:meth:`~.recipe.Recipe.prompts`).
        moment: S, the second moment of what the encoder knows (:mod:`.moments`), (width, width); None for the identity, and for
            recipes that ask for it.
        scaled: see :func:`~.closed_form.solve`.
        tolerance: how much of the map may be left out (:func:`~.closed_form.solve`). The default, :data:`VISIBLE`, leaves
            out what no picture shows; :data:`~.closed_form.EXACT` leaves out nothing.

    Raises:
        EditError: nothing would change, or the result is not finite.
    """
    if recipe.regularizer == "identity":
        moment = None
    protected = preserved_tokens(encoded[prompt] for prompt in recipe.strict) if recipe.strict else None
    if recipe.drawn:
        return _solve_chances(recipe, encoded, moment, scaled, protected)
    columns = parts_of(recipe, encoded)
    unit = shrunk(moment).diagonal().sqrt() if recipe.passes and moment is not None else None
    settings = recipe.regularization, scaled, moment, protected, tolerance
    solution, evoking = solve_regularized(columns, *settings), []
    for _ in range(recipe.passes):
        evoking.append(evoking_columns(solution.context_map, Columns.joined(columns), unit))
        solution = solve_regularized(columns, *settings, evoking)
    edit = _edit_of(recipe, encoded, moment, solution)
    return replace(edit, pooled_map=pooled_map(recipe, encoded, scaled)) if recipe.pooled else edit


def _edit_of(recipe: Recipe, encoded: Mapping[str, EncodedPrompt], moment: Moment | None, solution: Solution) -> Edit:
    first = recipe.active[0].source
    return Edit(
        recipe=recipe,
        context_map=solution.context_map,
        encoder=EncoderIdentity.of(first, encoded[first]),
        tokens=solution.tokens,
        edited=solution.edited,
        residual=solution.residual,
        ordinary_reach=None if moment is None else ordinary_reach(solution.context_map, moment),
        end_only=end_only_sources(recipe.active, encoded),
    )


def _solve_chances(
    recipe: Recipe,
    encoded: Mapping[str, EncodedPrompt],
    moment: Moment | None,
    scaled: bool,
    protected: torch.Tensor | None,
) -> Edit:
    always = [part for pair in recipe.always for part in pair_parts(pair, encoded)] + kept_parts(recipe, encoded)
    subjects = [
        [
            pair_parts(pair, encoded) if pair else unchanged_parts(chance, encoded, weight=chance.weight)
            for pair in chance.each()
        ]
        for chance in recipe.drawn
    ]
    parts = [*always, *(part for variants in subjects for part in variants[0])]
    strength = _lambda(parts, recipe.regularization, scaled, moment)
    held = None if moment is None else shrunk(moment)
    unit, shares = None if held is None else held.diagonal().sqrt(), [own.shares for own in recipe.drawn]
    chance = solve_chances(always, subjects, strength, held, protected)
    progress = progress_of(chance, always, subjects, shares, unit)
    factor = 1.0 if held is None else CARRIED.factor(progress.along, progress.asked)
    chance = chance.scale(factor).to("cpu")
    tokens, edited = token_counts(parts, always, subjects)
    mean = chance.mean(own.shares for own in recipe.drawn)
    solution = Solution(mean, tokens, edited, progress.residual(factor), strength)
    return replace(_edit_of(recipe, encoded, moment, solution), chance=chance)


def make_edit(
    recipe: Recipe,
    encode: Encode,
    scaled: bool = True,
    moment: KnownMoment | Moment | None = None,
    tolerance: float = VISIBLE,
) -> Edit:
    """Encode the recipe's prompts, align, solve.

    Args:
        recipe: what is asked.
        encode: the host's text encoder; called with every distinct prompt once.
        moment: what the encoder knows, for recipes whose regularizer is "captions"; what is edited is left out of it. Or S
            itself. None reads the ordinary captions with this very encoder, 300 prompts more to encode.
        scaled, tolerance: see :func:`solve_edit`.

    Raises:
        EditError: nothing would change, or the result is not finite.
    """
    prompts = recipe.prompts()
    encoded = dict(zip(prompts, encode(prompts), strict=True)) if prompts else {}
    if recipe.regularizer == "identity":
        moment = None
    elif moment is None:
        recipe.check_active()
        moment = read_captions(encode)
    if isinstance(moment, KnownMoment):
        moment = moment.beside(recipe.sources, encode)
    return solve_edit(recipe, encoded, moment, scaled, tolerance)
