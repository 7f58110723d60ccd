"""The recipes that ship with the pack."""

import pytest
from edit_assumption.editing.assumptions.recipe import parse_recipe
from edit_assumption.editing.assumptions.recipe_presets import preset_recipe, recipe_presets
from edit_assumption.editing.errors import EditError
from edit_assumption.editing.lines import tidy


@pytest.mark.parametrize("name", recipe_presets())
def test_a_preset_is_a_recipe_in_which_nothing_contradicts(name):
    lines = preset_recipe(name)
    recipe = parse_recipe(lines)
    assert name == tidy(name) and len(recipe.lines) + len(recipe.preserve) == len(lines.splitlines())
    assert recipe.always == recipe.pairs and recipe.drawn == recipe.chances and recipe.kept == recipe.preserve
    assert len({line.source for line in recipe.lines}) == len(recipe.lines)


def test_an_unknown_preset_is_one_sentence():
    with pytest.raises(EditError, match="There is no preset “none of them”; choose one of: another colour: blue roses; "):
        preset_recipe("none of them")
