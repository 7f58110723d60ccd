"""Recipes for usual wishes, to use as they are or to change."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import EditError

_FILE = Path(__file__).with_suffix(".json")


def recipe_presets() -> dict[str, str]:
    """Name of a preset to the lines of its recipe, in the order in which they are offered."""
    return {name: "\n".join(lines) for name, lines in json.loads(_FILE.read_text(encoding="utf-8")).items()}


def preset_recipe(name: str) -> str:
    """The lines of a preset. Raises :class:`EditError` where there is none of this name."""
    presets = recipe_presets()
    if name not in presets:
        raise EditError(f"There is no preset “{name}”; choose one of: {'; '.join(presets)}.")
    return presets[name]
