"""Recipes onto the WebUI's model: solved with its own text encoder, and known again while that stays the same."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import torch

from ..editing.assumptions.context_map import ContextMap
from ..editing.assumptions.edit import Edit, solve_edit
from ..editing.assumptions.moment_file import kept_moment
from ..editing.assumptions.moments import KnownMoment
from ..editing.assumptions.recipe import Recipe
from ..editing.assumptions.text_inputs import TextInputs
from ..editing.encoder_identity import ASKED_AGAIN, EncoderIdentity
from ..editing.errors import EditError
from ..editing.known_texts import KnownTexts
from ..editing.ordinary_captions import ordinary_captions
from ..editing.vocabulary import whole_words
from .edit_folder import moments_folder
from .queue_turns import stop_if_unwanted, told_progress
from .running_host import Encoder, host, name_of
from .text_rows import RowInputs
from .webui_encoder import WebuiEncoder

_KEPT = 16
_solved: OrderedDict[Recipe, Edit] = OrderedDict()
_moment: tuple[EncoderIdentity, KnownMoment] | None = None
_row_inputs: tuple[Any, RowInputs] | None = None


def text_inputs(model: Any) -> TextInputs:
    """Where text enters the WebUI's ``sd_model``. Raises :class:`EditError` for one that is not known, or not loaded."""
    if getattr(model, "sd_checkpoint_info", None) is None:
        raise EditError("No model is loaded; choose a checkpoint.")
    rows_of = host().row_encoder(model, lambda done, total: stop_if_unwanted())
    if rows_of is not None:
        return _inputs_of_rows(model, rows_of)

    def rows(key: str, every: int) -> torch.Tensor:
        return host().weight(model, key)[::every].to("cpu", torch.float32, copy=True)

    inputs = TextInputs.of_shapes(host().shapes(model), rows)
    if inputs.family.mark:
        raise EditError(f"{inputs.family.name} is not known here; load an SD 1.x, SD 2.x or SDXL checkpoint.")
    return inputs


def _inputs_of_rows(model: Any, encode: Encoder) -> RowInputs:
    """Known again while the model stays loaded; how wide its rows are, one prompt tells."""
    global _row_inputs
    if _row_inputs is None or _row_inputs[0] != name_of(model):
        (said,) = encode(["a"])
        _row_inputs = name_of(model), RowInputs.of(type(model).__name__, said.embeddings.shape[1])
    return _row_inputs[1]


def maps_of(inputs: TextInputs, edits: Iterable[Edit]) -> dict[str, list[ContextMap]]:
    """Key of each edited weight to its maps, in turn."""
    maps: dict[str, list[ContextMap]] = {}
    for edit in edits:
        for key, context_map in inputs.maps(edit).items():
            maps.setdefault(key, []).append(context_map)
    return maps


def encoder_of(
    model: Any, inputs: TextInputs, advance: Callable[[int, int], None] = lambda done, total: stop_if_unwanted()
) -> Encoder:
    """The model's own. What is told how many prompts are encoded, and of how many, may raise to stop."""
    return host().row_encoder(model, advance) or WebuiEncoder(model, advance, inputs.family.pooled_width)


def solve(model: Any, inputs: TextInputs, recipe: Recipe) -> Edit:
    """The recipe's edit for the loaded model.

    Args:
        model, inputs: the WebUI's ``sd_model``, and where text enters it.
        recipe: what is asked.

    Raises:
        EditError: the model does not fit, or the edit cannot be solved.
        Stopped: nobody wants it any longer.
    """
    recipe.check_active()
    encode = encoder_of(model, inputs)
    known = _solved.get(recipe)
    # Checkpoint, LoRA, CLIP skip, emphasis: whatever changes what the encoder says makes the edit another one.
    if known is not None and known.encoder.distance(encode) <= ASKED_AGAIN:
        _solved.move_to_end(recipe)
        return known
    with told_progress("reading the recipe's prompts") as advance:
        prompts = recipe.prompts()
        encoded = dict(zip(prompts, inputs.checked(encoder_of(model, inputs, advance))(prompts), strict=True))
    moment = _moment_of(encode).beside(recipe.sources, encode) if recipe.regularizer == "captions" else None
    edit = solve_edit(recipe, encoded, moment)
    _solved[recipe] = edit
    _solved.move_to_end(recipe)
    while len(_solved) > _KEPT:
        _solved.popitem(last=False)
    return edit


def _moment_of(encode: Encoder) -> KnownMoment:
    """Of captions and the encoder's words: from memory, else from disk, else from these."""
    global _moment
    if _moment is None or not _moment[0].distance(encode) <= ASKED_AGAIN:
        texts = KnownTexts(ordinary_captions(), whole_words(encode.vocabulary))
        identity = EncoderIdentity.of(texts.captions[0], encode(texts.captions[:1])[0])
        with told_progress("reading captions and words, once for this text encoder") as advance:
            _moment = identity, kept_moment(moments_folder(), texts, encode, lambda: encode.short, advance)
    return _moment[1]
