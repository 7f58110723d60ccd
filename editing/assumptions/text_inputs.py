"""Where text enters a model, for every host: it hands in shapes and a way to read a weight, and puts the maps on itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from ..encoding import Encode, EncodedPrompt
from ..errors import EditError, PackedWeightsError
from ..projections import Family, Projection, find, norms_of
from .behind_norm import behind_gain
from .context_map import ContextMap
from .edit import Edit
from .report import describe
from .weight_change import edit_change

ReadRows = Callable[[str, int], torch.Tensor]
"""A weight's key, and of how many rows one is wanted, to (rows, width) of the weight without patches, a copy in float32 on the
CPU. Raises :class:`~..errors.PackedWeightsError` where it cannot be read."""
_NOT_BEHIND = (
    "In this model a norm stands before the layer that text enters through, and this edit was solved without it; make it again "
    "for this model (in ComfyUI with MODEL connected)."
)
BEHIND_ANOTHER = "This edit was solved for a model that reads text behind a norm, unlike this one; make it again for this one."
_SAMPLED = 8
"""Of how many rows one is read where it is only to be said how far the weights move: within a percent of all rows."""


@dataclass(frozen=True)
class TextInputs:
    """A model, as far as it reads text.

    Args:
        family: what kind of model it is.
        projections: all of its text projections.
        widths: key of each to how many numbers its weight reads.
        read_rows: the host's.
        gains: keys of the norms' weights that stand before the layer, side by side.
    """

    family: Family
    projections: Sequence[Projection]
    widths: Mapping[str, int]
    read_rows: ReadRows
    gains: Sequence[str] = ()

    @classmethod
    def of_shapes(cls, shapes: Mapping[str, Sequence[int]], read_rows: ReadRows) -> TextInputs:
        """Those of a model's weights.

        Args:
            shapes: key to shape of all of its parameters.
            read_rows: the host's.

        Raises:
            UnknownModelError: the table does not know where text enters.
        """
        family, projections = find({key: shape for key, shape in shapes.items() if key.endswith(".weight")})
        widths = {projection.key: shapes[projection.key][1] for projection in projections}
        return cls(family, projections, widths, read_rows, norms_of(shapes, family))

    @property
    def norms(self) -> int:
        """How many norms stand before the layer that text enters through."""
        return len(self.gains)

    def check_width(self, width: int) -> None:
        """Raise :class:`EditError` unless text of ``width`` numbers a token is what the model reads."""
        if width != self.family.width:
            raise EditError(
                f"The text encoder gives {width} numbers a token, but this {self.family.name} model reads {self.family.width}; "
                "connect the CLIP of the same checkpoint."
            )

    def checked(self, encode: Encode) -> Encode:
        """``encode`` that refuses, before anything is aligned, text of a width that the model does not read."""

        def encode_for_model(prompts: Sequence[str]) -> list[EncodedPrompt]:
            answers = encode(prompts)
            for answer in answers[:1]:
                self.check_width(answer.embeddings.shape[1])
            return list(answers)

        return encode_for_model

    def chosen(self, edit: Edit) -> list[Projection]:
        """The projections that an edit is for.

        Raises:
            EditError: the edit is of another width, was solved for another place of a norm, or names a block that the model
                lacks.
        """
        self.check_width(edit.context_map.width)
        if edit.norms != self.norms:
            raise EditError(_NOT_BEHIND if self.norms else BEHIND_ANOTHER)
        return edit.chosen(self.projections)

    def for_weights(self, edit: Edit) -> Edit:
        """The edit with the map of what the weights read: behind a norm, times the norm's own weights.

        Raises:
            EditError: as :meth:`chosen`, or the norm leaves out what the map reads.
        """
        self.chosen(edit)
        if not self.gains:
            return edit
        gain = torch.cat([self.read_rows(key, 1) for key in self.gains])
        return replace(edit, context_map=behind_gain(edit.context_map, gain))

    def maps(self, edit: Edit) -> dict[str, ContextMap]:
        """Key of each weight that an edit changes to the map of what it reads; equal maps are one object.

        Raises:
            EditError: as :meth:`for_weights`, or a weight is stored packed.
        """
        return self.for_weights(edit).maps(self.chosen(edit), self.widths)

    def weights(self, projections: Iterable[Projection], every: int = 1) -> dict[str, torch.Tensor]:
        """Key to weight, (out, width) in float32 on the CPU; of each, one row in ``every``.

        Raises:
            PackedWeightsError: they cannot be read.
        """
        return {projection.key: self.read_rows(projection.key, every) for projection in projections}

    def report(self, edit: Edit, remarks: Iterable[str] = ()) -> str:
        """What an edit does to this model, for people; how far packed weights move is not in it."""
        chosen = self.chosen(edit)
        if edit.chance is not None:
            return describe(edit, [], {}, remarks)
        try:
            change = edit_change(self.for_weights(edit), chosen, self.weights(chosen, every=_SAMPLED))
        except PackedWeightsError:
            change = {}
        return describe(edit, chosen, change, remarks)
