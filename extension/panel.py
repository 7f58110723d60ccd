"""The inputs of a recipe, in the panel and in the tab, and the list of saved edits that fill them."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ..editing.assumptions.prompt_pair import DEFAULT_AUGMENTATIONS, STRENGTH_LIMIT
from ..editing.assumptions.recipe import (
    DEFAULT_REGULARIZATION,
    PROJECTION_CHOICES,
    REGULARIZERS,
    Recipe,
    augmentations_from_lines,
    parse_recipe,
    preserve_from_lines,
)
from ..editing.assumptions.recipe_presets import preset_recipe, recipe_presets
from ..editing.concepts.concept_edit import ConceptEdit
from ..editing.errors import EditError
from ..editing.lines import read_lines
from . import edit_folder

DEFAULTS: dict[str, Any] = {
    "recipe": "",
    "strength": 1.0,
    "regularization": DEFAULT_REGULARIZATION,
    "preserve": "",
    "regularizer": REGULARIZERS[0],
    "projections": PROJECTION_CHOICES[0],
    "blocks": "",
    "augmentations": "\n".join(DEFAULT_AUGMENTATIONS),
    "pooled": False,
}
"""Field to default, in the order of the panel's arguments."""
_TYPES: dict[type, tuple[tuple[type, ...], str]] = {
    str: ((str,), "text"),
    float: ((float, int), "a number"),
    bool: ((bool,), "true or false"),
}
"""Of a default to those of values, and what they are called."""


def recipe_inputs(prefix: str) -> list[Any]:
    """The components, in the order of :data:`DEFAULTS`.

    Args:
        prefix: of the components' ids.
    """

    def place(name: str, **details: Any) -> dict[str, Any]:
        return {"value": DEFAULTS[name], "elem_id": f"{prefix}_{name}", **details}

    recipe = gr.Textbox(
        label="Recipe",
        lines=3,
        placeholder="a pack of roses -> a pack of blue roses\na doctor -> a female doctor @ 0.5\n= a pack of tulips",
        info="One edit a line: source -> destination; nothing behind the arrow forgets; | stands between variants, drawn by "
        "chance; @ is a strength; = keeps a prompt.",
        **place("recipe"),
    )
    with gr.Row():
        strength = gr.Slider(
            -STRENGTH_LIMIT,
            STRENGTH_LIMIT,
            step=0.05,
            label="Strength",
            info="0 is off, 1 the whole edit; above 1 overdoes it, below 0 reverses it.",
            **place("strength"),
        )
        regularization = gr.Slider(
            0.001,
            10,
            step=0.001,
            label="Regularization",
            info="Lower edits more strongly; higher leaves other prompts alone.",
            **place("regularization"),
        )
    with gr.Accordion("Advanced", open=False):
        preserve = gr.Textbox(
            label="Preserve",
            lines=2,
            info="Prompts whose meaning must not change, one a line; behind == they do not change at all.",
            **place("preserve"),
        )
        with gr.Row():
            regularizer = gr.Dropdown(list(REGULARIZERS), label="Regularizer", **place("regularizer"))
            projections = gr.Dropdown(list(PROJECTION_CHOICES), label="Projections", **place("projections"))
            blocks = gr.Textbox(label="Blocks", placeholder="all, or: down, mid, up", **place("blocks"))
        augmentations = gr.Textbox(
            label="Augmentations",
            lines=3,
            info="Sentences in which each edit is repeated, one a line.",
            **place("augmentations"),
        )
        pooled = gr.Checkbox(label="Edit the pooled embedding, too (SDXL)", **place("pooled"))
    return [recipe, strength, regularization, preserve, regularizer, projections, blocks, augmentations, pooled]


def saved_edits(prefix: str, scale: int = 4) -> gr.Dropdown:
    """A list of what is saved. It is filled when the page is loaded, and follows the tab's Save and Delete."""
    return gr.Dropdown([], label="Saved edits", scale=scale, elem_id=f"{prefix}_saved")


def saved_list(chosen: str | None = None) -> Any:
    """The list's new choices; ``chosen`` is selected where it is one of them, else nothing is."""
    names = edit_folder.names()
    return gr.update(choices=names, value=chosen if chosen in names else None)


def chosen_name(name: str | None) -> str:
    """What is chosen in a list of saved edits. Raises :class:`EditError` where nothing is."""
    if not name:
        raise EditError("Choose a saved edit first.")
    return name


def values_of(name: str | None) -> list[Any]:
    """What a saved edit puts into the inputs, in the order of :data:`DEFAULTS`.

    Raises:
        EditError: none is chosen, it cannot be read, or it does not fit the inputs.
    """
    edit = edit_folder.load(chosen_name(name))
    if isinstance(edit, ConceptEdit):
        raise EditError(
            f"“{name}” is an edit of the text encoder and does not fit the recipe; write <edit:{name}:1> in a prompt to use it."
        )
    return list({**DEFAULTS, "recipe": edit.recipe.to_text()}.values())


def presets(prefix: str) -> gr.Dropdown:
    """A list of recipes that ship with the extension."""
    return gr.Dropdown(list(recipe_presets()), label="Presets", scale=4, elem_id=f"{prefix}_presets")


def fill_preset(name: str) -> Any:
    """The recipe box's update for a preset; the other inputs stay as they are."""
    return gr.update(value=preset_recipe(name))


def fill(name: str | None) -> list[Any]:
    """The inputs' updates for a saved edit that was chosen in the panel; what is wrong appears over the page."""
    try:
        return [gr.update(value=value) for value in values_of(name)]
    except EditError as error:
        raise gr.Error(str(error)) from error


def switched_on(value: Any) -> bool:
    """The panel's first value, off where there is none. Raises :class:`EditError` for anything but true or false."""
    if value is not None and not isinstance(value, bool):
        raise EditError(f"“enabled” is {value!r:.60}; give true or false.")
    return bool(value)


def says_nothing(recipe: Any) -> bool:
    """Whether a recipe is left empty, but for comments."""
    return recipe is None or (isinstance(recipe, str) and not read_lines(recipe, str))


def _checked(name: str, value: Any) -> Any:
    """The value, an :class:`EditError` where it is of another type than the panel's own, as the API may give it."""
    types, wanted = _TYPES[type(DEFAULTS[name])]
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise EditError(f"“{name}” is {value!r:.60}; give {wanted}.")
    return value


def recipe_of(values: dict[str, Any]) -> Recipe:
    """The recipe that the inputs say.

    Args:
        values: field of :data:`DEFAULTS` to value; what is missing or None has its default.

    Raises:
        EditError: a line or a setting is not understood.
    """
    settings = {**DEFAULTS, **{name: _checked(name, value) for name, value in values.items() if value is not None}}
    recipe = parse_recipe(
        settings["recipe"],
        regularization=settings["regularization"],
        regularizer=settings["regularizer"],
        projections=settings["projections"],
        blocks=tuple(settings["blocks"].split(",")),
        augmentations=augmentations_from_lines(settings["augmentations"]),
        pooled=settings["pooled"],
        **preserve_from_lines(settings["preserve"]),
    )
    return recipe.scale(float(settings["strength"]))
