"""A concept edit: concepts, and the changes of the text encoder's matrices that fulfil them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch

from ..encoder_identity import RELATED_ENCODER, SAME_ENCODER, EncoderIdentity
from ..encoding import EncodedPrompt
from ..errors import EditError
from ..low_rank import lowest_rank
from .concept_recipe import ConceptRecipe
from .following import following
from .sentences import sentences_of
from .statistics import Statistics
from .text_encoder import TextEncoder
from .tower import Tower, layers_of
from .update import write_shifts
from .value_file import ValueStore, value_names
from .values import Distill, Search, Values, ValueSettings, find_values

Factors = tuple[torch.Tensor, torch.Tensor]
_TOLERANCE = 1e-6
"""Relative: as little of a change is its rounding."""


@dataclass(frozen=True)
class ConceptEdit:
    """What a host puts on its text encoders.

    Args:
        recipe: what was asked.
        changes: encoder (:data:`~.text_encoder.NAMES`) to layer to (up, down): its MLP output matrix W becomes W + up down.
        encoders: encoder to what its layers up to the last edited one make of a prompt.
        left: for each concept the loss that stage one left, relative to what it began with (:func:`left_undone`).
    """

    recipe: ConceptRecipe
    changes: Mapping[str, Mapping[int, Factors]]
    encoders: Mapping[str, EncoderIdentity]
    left: tuple[float | None, ...]
    changes_what: ClassVar[str] = "the text encoder (EMCID)"

    def scale(self, strength: float) -> ConceptEdit:
        """The edit with W + strength up down."""

        def scaled(layers: Mapping[int, Factors]) -> dict[int, Factors]:
            return {layer: (strength * up, down) for layer, (up, down) in layers.items()}

        return replace(self, changes={name: scaled(layers) for name, layers in self.changes.items()})

    def restated(self, strength: float) -> ConceptEdit:
        """The same as :meth:`scale`; the lines of concepts say nothing of a strength."""
        return self if strength == 1 else self.scale(strength)

    @property
    def rank(self) -> int:
        """The largest of its changes'."""
        return max(up.shape[1] for layers in self.changes.values() for up, _ in layers.values())

    def check_encoders(self, encoders: Sequence[TextEncoder]) -> str:
        """Whether the edit is for these: "" when it is, a remark when they are close relatives.

        Raises:
            EditError: it is for others.
        """
        theirs, remark = {encoder.name: encoder for encoder in encoders}, ""
        for name, identity in self.encoders.items():
            layers = max(self.changes[name]) + 1
            fits = name in theirs and layers <= theirs[name].tower.depth
            distance = identity.distance(partial(_read, theirs[name], layers)) if fits else None
            if distance is None or not distance <= RELATED_ENCODER or set(theirs) != set(self.encoders):
                raise EditError(
                    "This edit changes another text encoder than this one; connect the CLIP it was made with, or make the edit "
                    "again from its lines."
                )
            if distance > SAME_ENCODER:
                remark = f"made with a related text encoder ({distance:.0%} away); make it again from its lines for full effect"
        return remark

    def edited(self, encoders: Sequence[TextEncoder]) -> list[TextEncoder]:
        """The encoders with the edit on them."""
        return [replace(encoder, tower=changed_tower(encoder.tower, self.changes[encoder.name])) for encoder in encoders]


def changed_tower(tower: Tower, changes: Mapping[int, Factors]) -> Tower:
    """A tower with an edit's changes."""
    for layer, (up, down) in changes.items():
        tower = tower.changed(layer, up, down)
    return tower


@dataclass(frozen=True)
class ValueSearch:
    """How stage one goes about it.

    Args:
        settings: of the search.
        distill: encoder to its noise teacher; None for the text alone.
        teacher: changes with the teachers and their pictures, for values that are kept; one for all, or one for each concept.
        folder: where values are kept; None keeps none.
        search: finds values; a host may share it out over processes.
    """

    settings: ValueSettings = ValueSettings()  # noqa: RUF009 - frozen
    distill: Mapping[str, Distill] | None = None
    teacher: str | Sequence[str] = ""
    folder: Path | None = None
    search: Search = find_values


def find_concept_values(
    recipe: ConceptRecipe,
    encoders: Sequence[TextEncoder],
    how: ValueSearch = ValueSearch(),
    advance: Callable[[int, int], None] = lambda done, all_of_them: None,
) -> dict[str, Values]:
    """Stage one: encoder to the values of ``recipe.searched``. The arguments are those of :func:`make_concept_edit`.

    Raises:
        EditError: there are lines with [pictures], and the mode is not "full".
    """
    if recipe.mode != "full" and any(concept.pictures for concept in recipe.concepts):
        raise EditError("Only the mode “full” looks at pictures; choose it, or leave out the lines with [pictures].")
    count = len(recipe.searched)
    total, values = count * len(encoders), {}
    for place, encoder in enumerate(encoders):
        before = place * count
        tower, last = encoder.tower, layers_of(encoder.tower, recipe.layers)[-1]
        sentences = sentences_of(recipe.searched, encoder.tokenize, recipe.templates)
        names = value_names(tower, last, recipe.searched, recipe.templates, how.settings, how.teacher)
        values[encoder.name] = how.search(
            tower, sentences, last, how.settings, how.distill[encoder.name] if how.distill else None,
            partial(_advanced, advance, before, total), ValueStore(how.folder, names),
        )  # fmt: skip
    return values


def _advanced(advance: Callable[[int, int], None], before: int, total: int, done: int) -> None:
    advance(before + done, total)


def _read(encoder: TextEncoder, layers: int, prompts: Sequence[str]) -> Sequence[EncodedPrompt]:
    return encoder.encode(prompts, layers)


def mixed(recipe: ConceptRecipe, shifts: torch.Tensor) -> torch.Tensor:
    """The shifts of ``recipe.searched``, (searched, width), to those of its concepts, (concepts, width).

    A debiased concept's is the mean of its variants', by their shares, as EMCID's release has it.
    """
    parts = shifts.split([len(concept.meanings) for concept in recipe.concepts])
    return torch.stack([
        torch.tensor(concept.shares, dtype=own.dtype) @ own for concept, own in zip(recipe.concepts, parts, strict=True)
    ])  # fmt: skip


def left_undone(recipe: ConceptRecipe, values: Iterable[Values]) -> tuple[float | None, ...]:
    """What stage one left of each concept: the mean over encoders and variants, relative to what it began with.

    A concept by the user's pictures has another scale than its neighbours, 1 less how much nearer it came to them, and may
    be below 0. None stands for a concept that reads as its destination already.
    """
    shares = torch.stack([own.after / own.before.where(own.before > 0, torch.nan) for own in values]).double()
    parts = shares.split([len(concept.meanings) for concept in recipe.concepts], dim=1)
    means = [float(own.nanmean()) for own in parts]
    return tuple(None if math.isnan(mean) else mean for mean in means)


def write_concept_values(
    recipe: ConceptRecipe,
    encoders: Sequence[TextEncoder],
    statistics: Mapping[str, Statistics],
    values: Mapping[str, Values],
    advance: Callable[[], None] = lambda: None,
) -> ConceptEdit:
    """Stage two.

    Args:
        recipe, encoders, statistics: as for :func:`make_concept_edit`.
        values: encoder to what :func:`find_concept_values` found.
        advance: called after each layer; may raise to stop.

    Raises:
        EditError: the edit cannot be solved or would change nothing.
    """
    changes, identities = {}, {}
    for encoder in encoders:
        tower, layers = encoder.tower, layers_of(encoder.tower, recipe.layers)
        _check_layers(encoder, layers, statistics)
        moments = statistics[encoder.name].moments()
        sentences = sentences_of(recipe.written, encoder.tokenize, recipe.templates)
        everywhere = torch.tensor([number for number, own in enumerate(recipe.concepts) if own.everywhere], dtype=torch.long)
        regularization = recipe.regularization * tower.key_width
        after = write_shifts(
            tower, sentences, mixed(recipe, values[encoder.name].shifts), moments, regularization, layers, advance,
            following(tower, sentences.of(everywhere), layers[-1]) if len(everywhere) else None,
        )  # fmt: skip
        changes[encoder.name] = {layer: _own(after, tower, layer) for layer in layers}
        first = recipe.concepts[0].sentences(recipe.templates)[0][0]
        identities[encoder.name] = encoder.identity(first, layers[-1] + 1)
    if not any(float(up.norm()) for layers in changes.values() for up, _ in layers.values()):
        raise EditError("The edit would change nothing: sources and destinations read the same to this text encoder.")
    return ConceptEdit(recipe, changes, identities, left_undone(recipe, [values[encoder.name] for encoder in encoders]))


def make_concept_edit(
    recipe: ConceptRecipe,
    encoders: Sequence[TextEncoder],
    statistics: Mapping[str, Statistics],
    how: ValueSearch = ValueSearch(),
    advance: Callable[[int, int], None] = lambda done, all_of_them: None,
) -> ConceptEdit:
    """Both stages, for each encoder by itself.

    Args:
        recipe: what is asked.
        encoders: all of the model's that are to be edited.
        statistics: encoder to its statistics, of the layers that are edited.
        how: of the first stage.
        advance: told how many values are found, of how many; may raise to stop, and what was found by then is kept.

    Raises:
        EditError: a concept cannot be found in its sentences, or the edit cannot be solved or would change nothing.
    """
    for encoder in encoders:
        _check_layers(encoder, layers_of(encoder.tower, recipe.layers), statistics)  # before the search, which takes longest
    values = find_concept_values(recipe, encoders, how, advance)
    total = len(recipe.searched) * len(encoders)
    return write_concept_values(recipe, encoders, statistics, values, lambda: advance(total, total))


def _check_layers(encoder: TextEncoder, layers: Sequence[int], statistics: Mapping[str, Statistics]) -> None:
    if missing := [layer for layer in layers if layer not in statistics[encoder.name].sums]:
        raise EditError(f"The statistics have no layer {missing[0]}; compute them for this encoder and these layers.")


def _own(after: Tower, before: Tower, layer: int) -> Factors:
    """What the edit itself added to a layer, by factors of the lowest rank that is the same to rounding."""
    (up, down), known = after.changes[layer], before.changes.get(layer)
    if known is not None:
        up, down = up[:, known[0].shape[1] :], down[known[1].shape[0] :]
    if not float(up.norm()):
        return up[:, :1], down[:1]
    up, down = lowest_rank(up, down, _TOLERANCE)
    return up.float(), down.float()
