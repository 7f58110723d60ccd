"""A recipe onto a model: what every node that makes an edit does."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from comfy_api.latest import io, ui
from comfy_execution.graph_utils import ExecutionBlocker

from ...editing.assumptions.edit import Edit
from ...editing.assumptions.recipe import Recipe
from ...editing.assumptions.report import describe
from ...editing.assumptions.rows_read import RowsRead
from ...editing.assumptions.space import Moment
from ...editing.carried_edits import carried_besides
from .adapter_encoder import encoder_for
from .known_moments import moment_of
from .model_edits import carried_by, joinable, order_remark, put_on
from .placement import AUTOMATIC, Placement
from .progress import stop_if_interrupted
from .schemas import EditType

_ON_NOTHING = "put on no model, since none is connected: connect EDIT to Edit Conditioning, Save Edit or Apply Edit"
_NO_MODEL = (
    "The editing node's MODEL output is used, but no model is connected to its input; connect one, or use its EDIT alone."
)


def model_and_clip() -> list[io.Input]:
    """The inputs that every such node begins with."""
    return [
        io.Model.Input(
            "model",
            optional=True,
            tooltip="The model to edit. It is not changed; the edit is on the output. Leave it unconnected to make the EDIT "
            "alone, for Edit Conditioning.",
        ),
        io.Clip.Input(
            "clip",
            tooltip="The CLIP that your prompts are encoded with, after CLIP Set Last Layer and LoRA if you use them: "
            "the edit is made in its space.",
        ),
    ]


def model_and_edit() -> list[io.Output]:
    """The outputs that every such node has."""
    return [
        io.Model.Output(display_name="MODEL", tooltip="The model that believes it."),
        EditType.Output(
            display_name="EDIT",
            tooltip="The edit itself, for Save Edit, Apply Edit, Preview Edit, Edit Conditioning and Save Edit as LoRA. "
            "Together with the edits on the incoming model where they were solved together.",
        ),
    ]


@dataclass(frozen=True)
class Solved:
    """An edit, and the model with it on.

    Args:
        model: the patched clone; None where no model was connected.
        edit: what is on it, together with the incoming model's edits where they were solved together.
        times: what took how long, for people.
        own: what was asked, without the incoming model's edits.
        place: where it was put; None where no model was connected.
        why: why it was put there, where that was chosen.
    """

    model: Any
    edit: Edit
    times: str
    own: Recipe
    place: Placement | None
    why: Sequence[str] = ()


class ModelEditor:
    """A model and its CLIP, or a CLIP alone, for one recipe or several in turn.

    Args:
        model, clip: ComfyUI's; without a model edits are made and put on nothing.
        where: one of :data:`~.placement.PLACES`.

    Raises:
        EditError: edits are to be put on the weights of a model of no known family.
    """

    def __init__(self, model: Any, clip: Any, where: str = AUTOMATIC) -> None:
        self.model = model
        self.place = None if model is None else Placement.of(model, where)
        self.encoder = encoder_for(model, clip)

    def solve(self, recipe: Recipe) -> Solved:
        """Solve, and patch a clone of the model if there is one; together with the edits on the model where they can be.

        Raises:
            EditError: the CLIP does not fit the model, or the edit cannot be solved.
        """
        encode = self.encoder.with_pooled if recipe.pooled else self.encoder
        partner, own = None, recipe
        place = self.place.for_recipe(recipe) if self.place else None
        reads = place.reads if place else RowsRead()
        if place:
            place.check_encoder(self.encoder)
            encode = place.checked(encode)
            partner = joinable(self.model, recipe, self.encoder.key)
        else:
            self.encoder.check_rows_alone()
        if partner:
            recipe = partner.edit.recipe.merge(recipe)
        begin, before = time.perf_counter(), self.encoder.encoded
        prompts = recipe.prompts()
        encoded = dict(zip(prompts, encode(prompts), strict=True))
        stop_if_interrupted()
        read, fresh = time.perf_counter(), self.encoder.encoded - before
        width = encoded[prompts[0]].embeddings.shape[1]
        moment = self._moment(recipe, width, reads) if recipe.regularizer == "captions" else None
        solving = time.perf_counter()
        edit = reads.solve(recipe, encoded, moment)
        place, why = place.decided(edit, self.encoder) if place else (None, [])
        patched = put_on(self.model, edit, place.weights, self.encoder.key, instead_of=partner) if place else None
        times = (
            f"{fresh} of {len(prompts)} prompts encoded in {read - begin:.2f} s, captions and words looked up in "
            f"{solving - read:.2f} s, solved and patched in {time.perf_counter() - solving:.2f} s"
        )
        return Solved(patched, edit, times, own, place, why)

    def _moment(self, recipe: Recipe, width: int, reads: RowsRead) -> Moment:
        known = moment_of(self.encoder, width, reads, id(self.model.model) if reads.layers else None)
        return known.beside(recipe.sources, reads.encode(self.encoder))

    def report(self, solved: Solved, remarks: Iterable[str] = ()) -> str:
        """What the edit did, for people."""
        if not solved.place:
            return describe(solved.edit, [], {}, [*remarks, _ON_NOTHING, solved.times])
        inputs = solved.place.inputs
        experimental = inputs is not None and inputs.family.experimental
        remarks = [
            *remarks,
            *solved.why,
            *carried_besides("model", carried_by(solved.model), solved.own),
            *order_remark(solved.model, solved.edit),
            *([f"experimental: {inputs.family.name} has not been tried on real weights"] if experimental else []),
        ]
        return solved.place.report(solved.edit, [*remarks, solved.times])


def edited(clip: Any, recipe: Recipe, model: Any = None, where: str = AUTOMATIC) -> io.NodeOutput:
    """What a node that makes an edit gives: the model with the recipe on it, the edit, and the report under the node."""
    if not recipe.active:
        return io.NodeOutput(model_output(model), None, ui=ui.PreviewText("Strength 0: the model is unchanged."))
    editor = ModelEditor(model, clip, where)
    solved = editor.solve(recipe)
    return io.NodeOutput(model_output(solved.model), solved.edit, ui=ui.PreviewText(editor.report(solved)))


def model_output(model: Any) -> Any:
    """The model, or what tells the node behind the output that there is none."""
    return ExecutionBlocker(_NO_MODEL) if model is None else model
