"""Where an edit is put: on the weights of a model whose text inputs the table knows, or on the text that any model reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from ...editing.assumptions.edit import Edit
from ...editing.assumptions.norm_ways import compare_ways
from ...editing.assumptions.recipe import Recipe
from ...editing.assumptions.report import describe
from ...editing.assumptions.rows_read import RowsRead
from ...editing.assumptions.text_inputs import TextInputs, elsewhere
from ...editing.encoding import Encode
from ...editing.errors import EditError, UnknownModelError
from ...editing.projections import INPUT
from .clip_encoder import ComfyEncoder
from .model_edits import known_text_inputs, text_inputs

AUTOMATIC, WEIGHTS, TEXT = PLACES = ("automatic", "weights", "text")
_BY_LAYERS = "txtfusion."
_WAY_OUT = "Or let “applied_to” be text: the edit goes onto your prompts, before the model reads them."
_ON_TEXT = "put on the text that the model reads, once a sampling; no weight changes"
_OWN_LAYERS = "In {} layers of its own read a prompt before keys and values do; let “applied_to” be weights or automatic."
_WHOLE = (
    "Keys or values alone, and blocks, are weights of the model; {} choose “keys and values” and leave the blocks empty to "
    "put the edit on the text."
)


@dataclass(frozen=True)
class Placement:
    """A model and the place on it for edits.

    Args:
        model: a ``ModelPatcher``.
        inputs: where text enters it; None where the table does not know.
        by_text: whether edits go onto the text.
        undecided: whether each edit shows which of both ways is the better one.
        free: whether a recipe may choose, since nobody did.
    """

    model: Any
    inputs: TextInputs | None
    by_text: bool
    undecided: bool = False
    free: bool = False

    @classmethod
    def of(cls, model: Any, wanted: str = AUTOMATIC) -> Placement:
        """The place that was asked for; automatically the weights of the families that have always been edited there.

        Raises:
            EditError: the weights were asked for, and are not known; or the text, which layers of the model's own read first.
        """
        if wanted == WEIGHTS:
            try:
                return cls(model, text_inputs(model), False)
            except UnknownModelError as error:
                raise EditError(f"{error} {_WAY_OUT}") from error
        inputs = known_text_inputs(model)
        if wanted == TEXT and inputs is not None and inputs.reads.layers:
            raise EditError(_OWN_LAYERS.format(inputs.family.name))
        free = wanted == AUTOMATIC and inputs is not None
        undecided = free and inputs is not None and inputs.reads.norms > 0
        return cls(model, inputs, wanted == TEXT or inputs is None or inputs.family.by_text, undecided, free)

    @property
    def reads(self) -> RowsRead:
        """What of a prompt edits are solved on."""
        return self.inputs.reads if self.inputs else RowsRead()

    def for_recipe(self, recipe: Recipe) -> Placement:
        """The place for a recipe: keys or values alone, and blocks, are weights.

        Raises:
            EditError: it is for a part of the weights where there are none to be edited.
        """
        if recipe.projections == "keys and values" and not recipe.blocks:
            return self
        inputs = self.inputs and (self.inputs.inner or self.inputs)
        by_blocks = inputs is not None and any(projection.kind != INPUT for projection in inputs.projections)
        if by_blocks and (self.free or not self.by_text):
            return replace(self, inputs=inputs, by_text=False, undecided=False)
        if self.by_text:
            raise EditError(_WHOLE.format("of this model they are not known:" if self.inputs is None else "here"))
        return self

    def decided(self, edit: Edit, encode: Encode) -> tuple[Placement, list[str]]:
        """The better place for an edit, and why; this one where nothing is left to choose.

        Args:
            edit: solved for this model.
            encode: its text encoder.
        """
        if not self.undecided or edit.chance or self.inputs is None:
            return self, []
        try:
            self.inputs.for_weights(edit)
        except EditError:  # no weight can hold it
            return self, []
        ways = compare_ways(edit, encode)
        return replace(self, by_text=ways.text_is_better), [ways.remark()]

    @property
    def weights(self) -> TextInputs | None:
        """Where edits go into weights; None where they go onto the text."""
        return None if self.by_text else self.inputs

    def check_encoder(self, encoder: ComfyEncoder) -> None:
        """Raise :class:`EditError` where the model is handed more of a prompt than rows that are edited."""
        if self.by_text:
            encoder.check_rows_alone()

    def checked(self, encode: Encode) -> Encode:
        """``encode`` that refuses text of a width that the model does not read."""
        if self.inputs and not self.reads.through:
            return self.inputs.checked(encode)

        def encode_for_model(prompts: Any) -> Any:
            answers = encode(prompts)
            for answer in answers[:1]:
                self._check_width(answer.embeddings.shape[1])
            return answers

        return encode_for_model

    def check_edit(self, edit: Edit) -> None:
        """Raise :class:`EditError` for an edit of a width that the model does not read, or solved on other rows."""
        if (edit.norms or edit.layers) and not self.reads.holds(edit):
            raise EditError(elsewhere(edit, self.reads))
        if self.inputs:
            self.inputs.check_width(edit.context_map.width)
        else:
            self._check_width(edit.context_map.width)

    def _check_width(self, width: int) -> None:
        if not any(_reads(name, module, width) for name, module in self.model.model.diffusion_model.named_modules()):
            raise EditError(
                f"The text encoder gives {width} numbers a token, and no layer of this model reads as many; connect the CLIP "
                "that belongs to the model."
            )

    def report(self, edit: Edit, remarks: Iterable[str] = ()) -> str:
        """What an edit does to this model, for people."""
        if self.weights:
            return self.weights.report(edit, remarks)
        return describe(edit, [], {}, [*remarks, *([] if edit.chance else [_ON_TEXT])])


def _reads(name: str, module: Any, width: int) -> bool:
    """Whether a layer reads text of so many numbers; Krea 2's reads each of the encoder's layers by itself."""
    reads = getattr(module, "in_features", 0)
    return reads == width or (name.startswith(_BY_LAYERS) and reads > 0 and width % reads == 0)
