"""The advanced inputs that all nodes that make an edit share, and the recipe's fields that they stand for."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ...editing.assumptions.prompt_pair import DEFAULT_AUGMENTATIONS
from ...editing.assumptions.recipe import (
    DEFAULT_REGULARIZATION,
    PROJECTION_CHOICES,
    REGULARIZERS,
    augmentations_from_lines,
    preserve_from_lines,
)
from .placement import AUTOMATIC, PLACES
from .schemas import advanced


def setting_inputs() -> list[io.Input]:
    """Regularization, augmentations, projections, blocks, preserve, regularizer, pooled."""
    inputs = [
        io.Float.Input(
            "regularization",
            default=DEFAULT_REGULARIZATION,
            min=0.001,
            max=1000.0,
            step=0.01,
            round=0.001,
            tooltip="How strongly everything else is held in place. Lower: more thorough, and reaches further. Higher: "
            "gentler.",
        ),
        io.String.Input(
            "augmentations",
            multiline=True,
            dynamic_prompts=False,
            default="\n".join(DEFAULT_AUGMENTATIONS),
            tooltip="Sentences in which the edit is repeated, one per line; an empty pair of braces marks the place of the "
            "prompt, else it goes to the end. May be empty.",
        ),
        io.Combo.Input(
            "projections",
            options=list(PROJECTION_CHOICES),
            default=PROJECTION_CHOICES[0],
            tooltip="Which text projections of the cross-attention layers are edited.",
        ),
        io.String.Input(
            "blocks",
            default="",
            optional=True,
            tooltip="Limit the edit to some blocks, separated by commas: down, mid, up, or a block's own name such as "
            "output_blocks.4 or blocks.7. Empty means all.",
        ),
        io.String.Input(
            "preserve",
            multiline=True,
            dynamic_prompts=False,
            default="",
            optional=True,
            tooltip="Prompts whose meaning must not change, one per line, such as: a pack of tulips. Behind == they do not "
            "change at all. Preserve Prompts has lists of them.",
        ),
        io.Combo.Input(
            "regularizer",
            options=list(REGULARIZERS),
            default=REGULARIZERS[0],
            optional=True,
            tooltip="What is held in place. captions: ordinary captions and the words that the CLIP knows, read once for each "
            "CLIP. identity: everything alike, as in TIME's paper; unrelated prompts change more.",
        ),
        io.Boolean.Input(
            "pooled",
            default=False,
            optional=True,
            tooltip="Edit the pooled embedding, too: one vector for the whole prompt that SDXL, SD3 and Flux read beside its "
            "tokens. SD 1.x, SD 2.x and PixArt have none.",
        ),
    ]
    return [advanced(entry) for entry in inputs]


def chance_inputs() -> list[io.Input]:
    """What only edits with variants need: spread, edit_negative."""
    inputs = [
        io.Boolean.Input(
            "spread",
            default=False,
            optional=True,
            tooltip="For variants: the pictures of a batch get the shares as nearly as their number allows. Off: every picture "
            "draws for itself, so that it is the same alone.",
        ),
        io.Boolean.Input(
            "edit_negative",
            default=True,
            optional=True,
            tooltip="For variants: the negative prompt follows, too. Off leaves it as it is.",
        ),
    ]
    return [advanced(entry) for entry in inputs]


def place_input() -> io.Input:
    """Where the edit is put."""
    return advanced(
        io.Combo.Input(
            "applied_to",
            options=list(PLACES),
            default=AUTOMATIC,
            optional=True,
            tooltip="weights: the layers through which text enters, where they are known. text: every prompt, once a sampling, "
            "before the model reads it; for any model, and no checkpoint can hold it. automatic: what suits the model; the "
            "report says which.",
        )
    )


def recipe_settings(
    regularization: float,
    augmentations: str,
    projections: str,
    blocks: str = "",
    preserve: str = "",
    regularizer: str = REGULARIZERS[0],
    pooled: bool = False,
    spread: bool = False,
    edit_negative: bool = True,
) -> dict[str, Any]:
    """What the inputs say, as fields of a recipe, and ``augmentations``."""
    return {
        "regularization": regularization,
        "augmentations": augmentations_from_lines(augmentations),
        "projections": projections,
        "blocks": tuple(blocks.split(",")),
        "regularizer": regularizer,
        "pooled": pooled,
        "spread": spread,
        "negative": edit_negative,
        **preserve_from_lines(preserve),
    }
