"""Recipes onto the WebUI's model: solved with its own text encoder, and known again while that stays the same."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..editing import projections as table
from ..editing.assumptions.context_map import ContextMap
from ..editing.assumptions.edit import Edit, solve_edit
from ..editing.assumptions.moment_file import kept_moment
from ..editing.assumptions.moments import KnownMoment
from ..editing.assumptions.recipe import Recipe
from ..editing.assumptions.report import describe
from ..editing.assumptions.weight_change import edit_change
from ..editing.encoder_identity import EncoderIdentity
from ..editing.errors import EditError
from ..editing.known_texts import KnownTexts
from ..editing.ordinary_captions import ordinary_captions
from ..editing.projections import Family, Projection
from ..editing.vocabulary import whole_words
from .edit_folder import moments_folder
from .queue_turns import stop_if_unwanted, told_progress
from .running_host import host
from .webui_encoder import WebuiEncoder

_KEPT = 16
_SAME = 1e-5
"""Relative: one prompt by itself is rounded in another way than in a batch."""
_POOLED_WIDTHS = {"SDXL": 1280}
_solved: OrderedDict[Recipe, Edit] = OrderedDict()
_moment: tuple[EncoderIdentity, KnownMoment] | None = None


@dataclass(frozen=True)
class Inputs:
    """Where text enters the loaded model.

    Args:
        model: the WebUI's ``sd_model``.
        family, projections: see :mod:`..editing.projections`.
        shapes: of the projections' weights.
    """

    model: object
    family: Family
    projections: list[Projection]
    shapes: dict[str, tuple[int, ...]]

    @classmethod
    def of(cls, model: object) -> Inputs:
        """Raises :class:`EditError` for a model that is not known, or not loaded."""
        if getattr(model, "sd_checkpoint_info", None) is None:
            raise EditError("No model is loaded; choose a checkpoint.")
        shapes = host().shapes(model)
        family, found = table.find({key: shape for key, shape in shapes.items() if key.endswith(".weight")})
        if family.entry:
            raise EditError(f"{family.name} is not known here; load an SD 1.x, SD 2.x or SDXL checkpoint.")
        return cls(model, family, found, {projection.key: shapes[projection.key] for projection in found})

    def maps(self, edits: Iterable[Edit]) -> dict[str, list[ContextMap]]:
        """Key of each edited weight to its maps, in turn."""
        found: dict[str, list[ContextMap]] = {}
        widths = {key: shape[1] for key, shape in self.shapes.items()}
        for edit in edits:
            for key, context_map in edit.maps(edit.chosen(self.projections), widths).items():
                found.setdefault(key, []).append(context_map)
        return found

    def encoder(self, advance: Callable[[int, int], None] = lambda done, total: stop_if_unwanted()) -> WebuiEncoder:
        """The model's own. What is told how many prompts are encoded, and of how many, may raise to stop."""
        return WebuiEncoder(self.model, advance, _POOLED_WIDTHS.get(self.family.name, 0))

    def report(self, edit: Edit) -> str:
        """What an edit does, for people; how far the weights move is read off every eighth row."""
        chosen, weights = edit.chosen(self.projections), {}
        try:
            for projection in chosen:
                weights[projection.key] = host().weight(self.model, projection.key)[::8].float()
        except EditError:
            return describe(edit, chosen, {})
        return describe(edit, chosen, edit_change(edit, chosen, weights))


def solve(inputs: Inputs, recipe: Recipe) -> Edit:
    """The recipe's edit for the loaded model.

    Args:
        inputs: of the model.
        recipe: what is asked.

    Raises:
        EditError: the model does not fit, or the edit cannot be solved.
        Stopped: nobody wants it any longer.
    """
    recipe.check_active()
    encode = inputs.encoder()
    known = _solved.get(recipe)
    # Checkpoint, LoRA, CLIP skip, emphasis: whatever changes what the encoder says makes the edit another one.
    if known is not None and known.encoder.distance(encode) <= _SAME:
        _solved.move_to_end(recipe)
        return known
    with told_progress("reading the recipe's prompts") as advance:
        prompts = recipe.prompts()
        encoded = dict(zip(prompts, inputs.encoder(advance)(prompts), strict=True))
    width = encoded[prompts[0]].embeddings.shape[1]
    if width != inputs.family.width:
        raise EditError(f"The text encoder gives {width} numbers a token, but this model reads {inputs.family.width}.")
    moment = _moment_of(encode).beside(recipe.sources, encode) if recipe.regularizer == "captions" else None
    edit = solve_edit(recipe, encoded, moment)
    _solved[recipe] = edit
    _solved.move_to_end(recipe)
    while len(_solved) > _KEPT:
        _solved.popitem(last=False)
    return edit


def _moment_of(encode: WebuiEncoder) -> KnownMoment:
    """Of captions and the encoder's words: from memory, else from disk, else from these."""
    global _moment
    if _moment is None or not _moment[0].distance(encode) <= _SAME:
        texts = KnownTexts(ordinary_captions(), whole_words(encode.vocabulary))
        identity = EncoderIdentity.of(texts.captions[0], encode(texts.captions[:1])[0])
        with told_progress("reading captions and words, once for this text encoder") as advance:
            _moment = identity, kept_moment(moments_folder(), texts, encode, lambda: encode.short, advance)
    return _moment[1]
