"""What one generation asks for: the panel's recipe, and the edits that its prompt names."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from ..editing.any_edit import AnyEdit
from ..editing.assumptions.prompt_pair import check_strength
from ..editing.assumptions.recipe import Recipe, parse_recipe, together
from ..editing.concepts.concept_edit import ConceptEdit
from ..editing.errors import EditError
from . import edit_folder

RECIPE_KEY, NAMED_KEY, CONCEPTS_KEY = "Edit Assumption", "Edit Assumption edits", "Edit Assumption concepts"
"""In a picture's parameters: the panel's recipe, and name to recipe of the edits that the prompt names. Those of the text
encoder stand by themselves: the panel cannot take their recipes, which are there to be read."""


@dataclass
class GenerationRequest:
    """Everything that is to be on the model while one picture is drawn.

    Args:
        panel: the panel's recipe, None while it is off.
        always: saved edit to strength, whatever the prompt names.
        named: saved edit to strength, from the prompt.
        unknown: names in the prompt of which no edit is saved.
        wrong: what is wrong with it, if anything is.
        pasted: saved edit to its recipe in the parameters that were pasted.
        was_on: whether edits of the projections were on at any time.
        fitting: saved edit and model, where the one was found to be for the other's text encoders.
    """

    panel: Recipe | None = None
    always: dict[str, float] = field(default_factory=dict)
    named: dict[str, float] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    wrong: EditError | None = None
    pasted: dict[str, Recipe] = field(default_factory=dict)
    was_on: bool = False
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
                self._read[name] = edit_folder.load(name)
        return {name: (self._read[name], strength) for name, strength in strengths.items()}

    def _saved_recipes(self) -> dict[str, Recipe]:
        saved = self._saved().items()
        return {name: edit.recipe.scale(strength) for name, (edit, strength) in saved if not isinstance(edit, ConceptEdit)}

    def concept_edits(self) -> dict[str, ConceptEdit]:
        """Name to edit of the text encoder, at its strength; those of strength 0 are left out.

        Raises:
            EditError: a saved edit cannot be read, or a strength leaves its limits.
        """
        saved = {name: entry for name, entry in self._saved().items() if isinstance(entry[0], ConceptEdit)}
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
        parameters = {}
        if self.panel:
            parameters[RECIPE_KEY] = self.panel.to_text()
        for key, saved in (
            (NAMED_KEY, self._saved_recipes()),
            (CONCEPTS_KEY, {name: edit.recipe for name, edit in self.concept_edits().items()}),
        ):
            if saved:
                parameters[key] = json.dumps({name: recipe.to_text() for name, recipe in saved.items()}, ensure_ascii=False)
        return parameters

    def not_done(self) -> list[str]:
        """A sentence for each edit that the prompt names and that is not there, or not what it was in the pasted picture.

        Raises:
            EditError: a saved edit cannot be read, or a strength leaves its limits.
        """
        sentences = []
        for name in self.unknown:
            then = next((recipe for key, recipe in self.pasted.items() if key.lower() == name.lower()), None)
            if then is None:
                sentences.append(f"no edit is saved as “{name}”; look for its name among the cards of edits.")
            elif not (self.panel and set(then.lines) <= set(self.panel.lines)):
                sentences.append(f"no edit is saved as “{name}”, and the panel does not have its recipe: “{_in_line(then)}”.")
        now = self._saved_recipes()
        for name in [name for name in self.pasted if name in now]:
            then, is_now = self.pasted[name], now[name]
            if not _differ_in_strength_alone(is_now, then):
                was = f"it was “{_in_line(then)}” and is “{_in_line(is_now)}”"
                sentences.append(f"“{name}” was saved anew since the pasted picture: {was}.")
        return sentences


def _in_line(recipe: Recipe) -> str:
    return "; ".join(recipe.to_text().splitlines())


def _differ_in_strength_alone(one: Recipe, other: Recipe) -> bool:
    """Whether a common factor of all strengths is all that tells them apart."""
    if not one.shares_settings(other) or (one.preserve, one.strict) != (other.preserve, other.strict):
        return False

    def pairs(recipe: Recipe) -> list[Any]:
        lead = recipe.lines[0].strength or 1.0
        return [(replace(pair, strength=1.0), round(pair.strength / lead, 6)) for pair in recipe.lines]

    return pairs(one) == pairs(other)


def pasted_named(text: str) -> dict[str, Recipe]:
    """Named edits' recipes, as :meth:`GenerationRequest.parameters` writes them under :data:`NAMED_KEY`, if they are there."""
    try:
        return {str(name): parse_recipe(lines) for name, lines in json.loads(text or "{}").items()}
    except (ValueError, TypeError, AttributeError, EditError):
        return {}


def pasted_recipe(parameters: dict[str, Any]) -> str | None:
    """The panel's recipe for a picture's parameters: its own, and those of edits that are not saved here. None for neither."""
    texts = [parameters[RECIPE_KEY]] if RECIPE_KEY in parameters else []
    try:
        recipes = json.loads(parameters.get(NAMED_KEY, "{}"))
        texts += [text for name, text in recipes.items() if name not in edit_folder.names()]
        joined = together(parse_recipe(text) for text in texts)
    except (ValueError, TypeError, AttributeError, EditError):
        return parameters.get(RECIPE_KEY)
    return joined[0].to_text() if joined else None
