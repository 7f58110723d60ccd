"""What one generation asks for: the panel's recipe, and the edits that its prompt names."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from ..editing.errors import EditError
from ..editing.recipe import Recipe, parse_recipe, together
from . import store

RECIPE_KEY, NAMED_KEY = "Edit Assumption", "Edit Assumption edits"
"""In a picture's parameters: the panel's recipe, and name to recipe of the edits that the prompt names."""


@dataclass
class Asked:
    """Everything that is to be on the model while one picture is drawn.

    Args:
        panel: the panel's recipe, None while it is off.
        always: saved edit to strength, whatever the prompt names.
        named: saved edit to strength, from the prompt.
        wrong: what is wrong with it, if anything is.
    """

    panel: Recipe | None = None
    always: dict[str, float] = field(default_factory=dict)
    named: dict[str, float] = field(default_factory=dict)
    wrong: EditError | None = None

    @property
    def anything(self) -> bool:
        """Whether there is something to do, be it to say what is wrong."""
        return bool(self.panel or self.always or self.named or self.wrong)

    def _saved(self) -> dict[str, Recipe]:
        strengths = {**self.always, **self.named}
        return {name: store.load(name).recipe.scale(strength) for name, strength in strengths.items()}

    def recipes(self) -> list[Recipe]:
        """The fewest recipes that amount to all of it; those with equal settings are one.

        Raises:
            EditError: something is wrong, a saved edit cannot be read, or a strength leaves its limits.
        """
        if self.wrong:
            raise self.wrong
        return together([*([self.panel] if self.panel else []), *self._saved().values()])

    def parameters(self) -> dict[str, str]:
        """For the picture's infotext: enough to draw it again."""
        found = {}
        if self.panel:
            found[RECIPE_KEY] = self.panel.to_text()
        if saved := self._saved():
            found[NAMED_KEY] = json.dumps({name: recipe.to_text() for name, recipe in saved.items()}, ensure_ascii=False)
        return found


def pasted_recipe(parameters: dict[str, Any]) -> str | None:
    """The panel's recipe for a picture's parameters: its own, and those of edits that are not saved here. None for neither."""
    texts = [parameters[RECIPE_KEY]] if RECIPE_KEY in parameters else []
    try:
        recipes = json.loads(parameters.get(NAMED_KEY, "{}"))
        texts += [text for name, text in recipes.items() if name not in store.names()]
        joined = together(parse_recipe(text) for text in texts)
    except (ValueError, TypeError, AttributeError, EditError):
        return parameters.get(RECIPE_KEY)
    return joined[0].to_text() if joined else None
