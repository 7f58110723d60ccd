"""Debiasing by a recipe: a subject that means one of its variants by chance, or the weighted mean of all (:mod:`..shares`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..shares import Wanted
from .chance_pair import ChancePair, Variant
from .prompt_pair import PromptPair
from .recipe import Recipe

_LEAST = 1e-6
"""Of a pair's weight, which cannot be 0."""


def chance_recipe(wanted: Wanted, **settings: Any) -> Recipe:
    """The subject as whichever variant a picture draws.

    Args:
        wanted: subject, variants and shares.
        settings: more fields of :class:`~.recipe.Recipe`, and ``augmentations``.
    """
    sentences = _sentences(settings)
    shares = zip(wanted.variants, wanted.shares, strict=True)
    variants = tuple(Variant(variant, 100 * share) for variant, share in shares)
    return Recipe((), chances=(ChancePair(wanted.subject, variants, **sentences),), **settings)


def debias_recipe(wanted: Wanted, weights: Sequence[float], **settings: Any) -> Recipe:
    """The subject as the weighted mean of its variants.

    A weight below 0 pushes away from its variant, which takes more than the variants themselves: the mean of pairs whose
    strengths are plus or minus the sum of all weights without their signs.

    Args:
        wanted: subject and variants.
        weights: of the variants, which sum to 1; without their signs to no more than 2.
        settings: more fields of :class:`~.recipe.Recipe`, and ``augmentations``.
    """
    sentences = _sentences(settings)
    size = sum(map(abs, weights))
    pairs = [
        PromptPair(wanted.subject, variant, math.copysign(size, weight), max(abs(weight) / size, _LEAST), **sentences)
        for variant, weight in zip(wanted.variants, weights, strict=True)
    ]
    return Recipe(tuple(pairs), **settings)


def _sentences(settings: dict[str, Any]) -> dict[str, Any]:
    """Take out of the settings what is one of each edit, and not of the whole recipe."""
    return {"augmentations": settings.pop("augmentations")} if "augmentations" in settings else {}
