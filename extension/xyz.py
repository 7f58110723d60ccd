"""Axes of the X/Y/Z plot: strength, regularization, saved edit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from modules import scripts

from . import store
from .script import CHANGED

_PREFIX = "[Edit Assumption] "


def add_axes() -> None:
    """Once for each load of the plot's script."""
    for entry in scripts.scripts_data:
        module = entry.module
        options = getattr(module, "axis_options", None)
        if not entry.path.endswith("xyz_grid.py") or options is None:
            continue
        if any(option.label.startswith(_PREFIX) for option in options):
            continue
        axis = module.AxisOption
        options += [
            axis(f"{_PREFIX}Strength", float, _change("strength")),
            axis(f"{_PREFIX}Regularization", float, _change("regularization")),
            axis(f"{_PREFIX}Saved edit", str, _change("named"), choices=lambda: ["None", *store.names()]),
        ]


def _change(name: str) -> Callable[[Any, Any, Any], None]:
    """Cells share the panel's arguments, so the change is kept on the cell's own processing object."""

    def apply(p: Any, value: Any, values: Any) -> None:
        setattr(p, CHANGED, {**getattr(p, CHANGED, {}), name: None if value == "None" else value})

    return apply
