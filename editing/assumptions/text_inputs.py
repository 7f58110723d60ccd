"""Where text enters a model, for every host: it hands in shapes and a way to read a weight, and puts the maps on itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import torch

from ..encoding import Encode, EncodedPrompt
from ..errors import EditError, PackedWeightsError
from ..families import Family
from ..projections import Projection, cross_attention, find, norms_of
from .behind_norm import behind_gain
from .context_map import ContextMap
from .edit import Edit
from .report import describe
from .rows_read import RowsRead
from .weight_change import edit_change

ReadRows = Callable[[str, int], torch.Tensor]
"""A weight's key, and of how many rows one is wanted, to (rows, width) of the weight without patches, a copy in float32 on the
CPU. Raises :class:`~..errors.PackedWeightsError` where it cannot be read."""
_NOT_BEHIND = (
    "In this model {} stand before the weights that read text, and this edit was solved without them; make it again for this "
    "model (in ComfyUI with MODEL connected)."
)
_BEHIND_ANOTHER = "This edit was solved for a model that reads text behind {}, unlike this one; make it again for this one."
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
        reads: what of a prompt the projections read.
        inner: the same model by its keys and values, behind the layer that all text enters through; None where it has none.
    """

    family: Family
    projections: Sequence[Projection]
    widths: Mapping[str, int]
    read_rows: ReadRows
    gains: Sequence[str] = ()
    reads: RowsRead = field(default_factory=RowsRead)
    inner: TextInputs | None = None

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
        gains = norms_of(shapes, family)
        reads = RowsRead(len(gains), family.name if family.own_layers else "")
        inner = _inner(shapes, family, projections, read_rows) if family.behind else None
        return cls(family, projections, _widths(shapes, projections), read_rows, gains, reads, inner)

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
            EditError: the edit is of another width, was solved on other rows, or names a block that the model lacks.
        """
        if not self.reads.holds(edit):
            raise EditError(elsewhere(edit, self.reads))
        self.check_width(edit.context_map.width)
        return edit.chosen(self.projections)

    def for_edit(self, edit: Edit) -> TextInputs:
        """These, or those behind them that an edit was solved for."""
        return self.inner if self.inner and self.inner.reads.holds(edit) else self

    def for_weights(self, edit: Edit) -> Edit:
        """The edit with the map of what the weights read: behind a norm, times the norm's own weights.

        Raises:
            EditError: as :meth:`chosen`, or the norm leaves out what the map reads.
        """
        self.chosen(edit)
        if not self.gains:
            return edit
        gain = torch.cat([self.read_rows(key, 1) for key in self.gains])
        return replace(edit, context_map=behind_gain(edit.context_map, gain + self.family.centred))

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


def elsewhere(edit: Edit, reads: RowsRead) -> str:
    """Why an edit is none of the rows that are read."""
    if edit.norms or edit.layers:
        return _BEHIND_ANOTHER.format(f"layers of {edit.layers}’s own" if edit.layers else "a norm")
    return _NOT_BEHIND.format("layers of its own" if reads.layers else "norms")


def _widths(shapes: Mapping[str, Sequence[int]], projections: Iterable[Projection]) -> dict[str, int]:
    return {projection.key: shapes[projection.key][1] for projection in projections}


def _inner(
    shapes: Mapping[str, Sequence[int]], family: Family, entries: Sequence[Projection], read_rows: ReadRows
) -> TextInputs | None:
    """Keys and values behind the entry, a GELU and one more layer."""
    projections = cross_attention(shapes, family)
    first = entries[0].key
    second = first.replace(family.entry, family.behind)
    if not projections or len({shapes[projection.key][-1] for projection in projections}) > 1:
        return None

    @cache
    def layers() -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [(read_rows(key, 1), read_rows(key.replace(".weight", ".bias"), 1)) for key in (first, second)]

    def through(rows: torch.Tensor) -> torch.Tensor:
        one, two = layers()
        hidden = torch.nn.functional.gelu(torch.nn.functional.linear(rows.cpu(), *one), approximate="tanh")
        return torch.nn.functional.linear(hidden, *two)

    width = shapes[projections[0].key][-1]
    reads = RowsRead(layers=family.name, through=through)
    return TextInputs(replace(family, width=width), projections, _widths(shapes, projections), read_rows, reads=reads)
