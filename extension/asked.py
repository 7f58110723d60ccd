"""What one generation asks for: the panel's recipe, and the edits that its prompt names."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from ..editing.any_edit import AnyEdit
from ..editing.concepts.edit import ConceptEdit
from ..editing.errors import EditError
from ..editing.recipe import Recipe, check_strength, parse_recipe, together
from . import store

RECIPE_KEY, NAMED_KEY, CONCEPTS_KEY = "Edit Assumption", "Edit Assumption edits", "Edit Assumption concepts"
"""In a picture's parameters: the panel's recipe, and name to recipe of the edits that the prompt names. Those of the text
encoder stand by themselves: the panel cannot take their recipes, which are there to be read."""


@dataclass
class Asked:
    """Everything that is to be on the model while one picture is drawn.

    Args:
        panel: the panel's recipe, None while it is off.
        always: saved edit to strength, whatever the prompt names.
        named: saved edit to strength, from the prompt.
        wrong: what is wrong with it, if anything is.
        fitting: saved edit and model, where the one was found to be for the other's text encoders.
    """

    panel: Recipe | None = None
    always: dict[str, float] = field(default_factory=dict)
    named: dict[str, float] = field(default_factory=dict)
    wrong: EditError | None = None
    fitting: set[tuple[str, Any]] = field(default_factory=set)
    _read: dict[str, AnyEdit] = field(default_factory=dict)

    @property
    def anything(self) -> bool:
        """Whether there is something to do, be it to say what is wrong."""
        return bool(self.panel or self.always or self.named or self.wrong)

    def _saved(self) -> dict[str, tuple[AnyEdit, float]]:
        """Name to edit and strength; a file is read once for a picture."""
        strengths = {**self.always, **self.named}
        for name in strengths:
            if name not in self._read:
                self._read[name] = store.load(name)
        return {name: (self._read[name], strength) for name, strength in strengths.items()}

    def _saved_recipes(self) -> dict[str, Recipe]:
        saved = self._saved().items()
        return {name: edit.recipe.scale(strength) for name, (edit, strength) in saved if not isinstance(edit, ConceptEdit)}

    def concept_edits(self) -> dict[str, ConceptEdit]:
        """Name to edit of the text encoder, at its strength; those of strength 0 are left out.

        Raises:
            EditError: a saved edit cannot be read, or a strength leaves its limits.
        """
        saved = {name: found for name, found in self._saved().items() if isinstance(found[0], ConceptEdit)}
        return {name: edit.scale(strength) for name, (edit, strength) in saved.items() if check_strength(strength)}

    def recipes(self) -> list[Recipe]:
        """The fewest recipes that amount to all of it but the concept edits; those with equal settings are one.

        Raises:
            EditError: something is wrong, a saved edit cannot be read, or a strength leaves its limits.
        """
        if self.wrong:
            raise self.wrong
        return together([*([self.panel] if self.panel else []), *self._saved_recipes().values()])

    def parameters(self) -> dict[str, str]:
        """For the picture's infotext: enough to draw it again, given the concept edits' files."""
        found = {}
        if self.panel:
            found[RECIPE_KEY] = self.panel.to_text()
        for key, saved in (
            (NAMED_KEY, self._saved_recipes()),
            (CONCEPTS_KEY, {name: edit.recipe for name, edit in self.concept_edits().items()}),
        ):
            if saved:
                found[key] = json.dumps({name: recipe.to_text() for name, recipe in saved.items()}, ensure_ascii=False)
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
