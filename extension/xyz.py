"""Axes of the X/Y/Z plot: strength, regularization, saved edit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from modules import scripts

from ..editing.errors import EditError
from . import edit_folder
from .panel import DEFAULTS, recipe_of, says_nothing, switched_on
from .remarks import Refusal
from .script import CHANGED, EditAssumption

_PREFIX = "[Edit Assumption] "
_NOTHING = "None"


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
            axis(f"{_PREFIX}Strength", float, _change("strength"), confirm=_panel_accepts("strength")),
            axis(f"{_PREFIX}Regularization", float, _change("regularization"), confirm=_panel_accepts("regularization")),
            axis(
                f"{_PREFIX}Saved edit",
                str,
                _change("named"),
                confirm=_all_saved,
                choices=lambda: [_NOTHING, *edit_folder.names()],
            ),
        ]


def _panel_accepts(name: str) -> Callable[[Any, Any], None]:
    """Called by the plot before anything is drawn; what it raises is shown in place of the pictures."""

    def confirm(p: Any, values: Any) -> None:
        ours = next(script for script in p.scripts.alwayson_scripts if isinstance(script, EditAssumption))
        enabled, *panel = p.script_args[ours.args_from : ours.args_to]
        fields = dict(zip(DEFAULTS, panel, strict=False))
        try:
            if not switched_on(enabled) or says_nothing(fields.get("recipe")):
                raise EditError(f"Turn the panel on and write a recipe: there is no edit whose {name} could be plotted.")
            for value in values:
                recipe_of({**fields, name: value})
        except EditError as error:
            raise Refusal(error) from error

    return confirm


def _all_saved(p: Any, values: Any) -> None:
    """As :func:`_panel_accepts` does."""
    try:
        for value in values:
            if value != _NOTHING:
                edit_folder.load(value)
    except EditError as error:
        raise Refusal(error) from error


def _change(name: str) -> Callable[[Any, Any, Any], None]:
    """Cells share the panel's arguments, so the change is kept on the cell's own processing object."""

    def apply(p: Any, value: Any, values: Any) -> None:
        setattr(p, CHANGED, {**getattr(p, CHANGED, {}), name: None if value == _NOTHING else value})

    return apply
