"""Values on disk, one small file for each concept, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..kept_file import keep, read_kept
from ..tensor_file import TensorFile
from .concept_lines import Concept
from .tower import Tower

FORMAT = "edit_assumption_value"


@dataclass(frozen=True)
class Value:
    """One concept's.

    Args:
        shift: (width,), by how much its subject's stream is to change, float64.
        before, after: the loss (:class:`~.values.Values`).
        steps: how many were taken.
    """

    shift: torch.Tensor
    before: float
    after: float
    steps: int


class ValueStore:
    """The values of some concepts in a folder.

    Args:
        folder: where they are; None keeps them for this run alone.
        names: of each concept's file, without ending.
    """

    def __init__(self, folder: Path | None, names: Sequence[str]) -> None:
        self.folder, self.names = folder, names
        self.known = {number: value for number in range(len(names)) if (value := self._load(number)) is not None}

    def put(self, number: int, value: Value) -> None:
        """Keep one, in memory where the folder cannot be written."""
        self.known[number] = value
        if self.folder is not None:
            header = {"format": FORMAT, "before": repr(value.before), "after": repr(value.after), "steps": str(value.steps)}
            keep({"shift": value.shift}, self._path(number), header)

    def _path(self, number: int) -> Path:
        return (self.folder or Path()) / f"{self.names[number]}.safetensors"

    def _load(self, number: int) -> Value | None:
        return read_kept(self._path(number), _value) if self.folder is not None else None


def _value(file: TensorFile) -> Value | None:
    header, shift = file.metadata(), file.get_tensor("shift")
    if header.get("format") != FORMAT or not shift.isfinite().all():
        return None
    return Value(shift, float(header["before"]), float(header["after"]), int(header["steps"]))


def value_names(
    tower: Tower,
    last: int,
    concepts: Sequence[Concept],
    templates: Sequence[str],
    settings: object,
    teacher: str | Sequence[str],
) -> list[str]:
    """For each concept a name that changes with everything that its value comes from.

    Args:
        tower, last: the encoder, and the layer after which values stand.
        concepts, templates: what is asked, in which sentences.
        settings: of the search (a dataclass).
        teacher: changes with the noise teacher and its pictures, one for all, or one for each concept; empty for none.
    """
    how = {name: entry for name, entry in vars(settings).items() if name != "at_once"}
    common = json.dumps([tower.digest, last, list(templates), how])
    teachers = [teacher] * len(concepts) if isinstance(teacher, str) else teacher
    texts = (
        f"{common}\n{own}\n{concept.source}\n{concept.destination}" for concept, own in zip(concepts, teachers, strict=True)
    )
    return [hashlib.sha256(text.encode()).hexdigest()[:32] for text in texts]
