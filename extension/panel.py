"""The inputs of a recipe, in the panel and in the tab."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ..editing.recipe import (
    DEFAULT_AUGMENTATIONS,
    DEFAULT_REGULARIZATION,
    PROJECTION_CHOICES,
    REGULARIZERS,
    STRENGTH_LIMIT,
    Recipe,
    augmentations_from_lines,
    parse_recipe,
    preserve_from_lines,
)

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
        info="One edit a line: source -> destination; nothing behind the arrow forgets; @ is a strength; = keeps a prompt.",
        **place("recipe"),
    )
    with gr.Row():
        strength = gr.Slider(-STRENGTH_LIMIT, STRENGTH_LIMIT, step=0.05, label="Strength", **place("strength"))
        regularization = gr.Slider(0.001, 10, step=0.001, label="Regularization", **place("regularization"))
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


def recipe_of(values: dict[str, Any]) -> Recipe:
    """The recipe that the inputs say.

    Args:
        values: field of :data:`DEFAULTS` to value; what is missing or None has its default.

    Raises:
        EditError: a line or a setting is not understood.
    """
    unknown = set(values) - set(DEFAULTS)
    if unknown:
        raise TypeError(f"unknown fields: {', '.join(sorted(unknown))}")
    settings = {**DEFAULTS, **{name: value for name, value in values.items() if value is not None}}
    recipe = parse_recipe(
        settings["recipe"],
        regularization=settings["regularization"],
        regularizer=settings["regularizer"],
        projections=settings["projections"],
        blocks=tuple(settings["blocks"].split(",")),
        augmentations=augmentations_from_lines(settings["augmentations"]),
        pooled=bool(settings["pooled"]),
        **preserve_from_lines(settings["preserve"]),
    )
    return recipe.scale(float(settings["strength"]))
