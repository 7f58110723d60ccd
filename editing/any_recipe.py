"""The text of a recipe of either kind."""

from __future__ import annotations

import re
from typing import Any

from .assumptions.recipe import Recipe, parse_recipe
from .concepts.concept_recipe import ConceptRecipe, parse_concept_recipe

_MODE = re.compile(r"^\s*!\s*mode\s*:", re.MULTILINE)
"""What only recipes of concepts have; :meth:`ConceptRecipe.to_text` always writes it."""


def is_of_concepts(text: str) -> bool:
    """Whether a line sets a mode, by which the others are lines of concepts."""
    return _MODE.search(text) is not None


def parse_any_recipe(text: str, **defaults: Any) -> Recipe | ConceptRecipe:
    """Read a recipe: of concepts where a line or the defaults set a mode.

    Args:
        text: as :func:`parse_recipe` or :func:`parse_concept_recipe` takes it.
        defaults: fields for whatever the text itself does not set.

    Raises:
        EditError: as these.
    """
    if is_of_concepts(text) or "mode" in defaults:
        return parse_concept_recipe(text, **defaults)
    return parse_recipe(text, **defaults)
