"""What methods reached on a file of edits: parts as they are measured, on disk, and their sums."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from ...editing.errors import EditError
from ...editing.whole_file import save_whole_text, why
from ..measures import interval
from .edit_set import harmonic, value
from .picture_files import slug

Chosen = dict[int, dict[str, list[float]]]
"""An edit's number in its file to measure to each picture's answer: 1 where the judge found it nearer to the wanted text."""


@dataclass(frozen=True, order=True)
class PartKey:
    """A method on one group of edits that are in the model together."""

    method: str
    together: int
    group: int

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{slug(self.method)}-{self.together}-{self.group}.json"


class Parts:
    """The parts of a run, a file each, so that it goes on where it was stopped.

    Args:
        folder: where they are.
        about: everything that decides a run; parts of another one are measured again.
    """

    def __init__(self, folder: Path, about: Mapping[str, object]) -> None:
        self.folder, self.about = folder, json.loads(json.dumps(about))

    def read(self, keys: Sequence[PartKey]) -> dict[PartKey, Chosen]:
        """Those of some keys that are there. Raises :class:`EditError` where a file may not be read."""
        known = {}
        for key in keys:
            try:
                answer = json.loads((self.folder / key.file).read_text(encoding="utf-8"))
                if answer["about"] == self.about and answer["method"] == key.method:
                    known[key] = {int(number): shares for number, shares in answer["chosen"].items()}
            except FileNotFoundError:
                continue
            except OSError as error:
                raise EditError(f"“{self.folder / key.file}” cannot be read: {why(error)}; give another folder.") from error
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
        return known

    def write(self, key: PartKey, chosen: Chosen) -> None:
        """Keep a part. Raises :class:`EditError` where it cannot be written."""
        answer = {"about": self.about, "method": key.method, "chosen": chosen}
        try:
            save_whole_text(self.folder / key.file, json.dumps(answer) + "\n")
        except OSError as error:
            raise EditError(f"“{self.folder / key.file}” cannot be written: {why(error)}; give another folder.") from error


@dataclass
class PaperScores:
    """What a method reached.

    Args:
        method: its name.
        together: how many edits were in the model at once.
        values: measure to a value for each edit (:func:`~.edit_set.value`).
        quality: name of a measure of pictures to its value (:mod:`.quality`).
    """

    method: str
    together: int
    values: dict[str, list[float]] = field(default_factory=dict)
    quality: dict[str, float] = field(default_factory=dict)

    @property
    def means(self) -> dict[str, float]:
        """Measure to its mean over the edits."""
        return {measure: fmean(values) for measure, values in self.values.items()}

    @property
    def harmonic(self) -> float | None:
        """Of efficacy, generality and specificity."""
        return harmonic(self.means)

    def interval(self, measure: str) -> tuple[float, float]:
        """The mean's confidence interval, 95 %, from resampled edits."""
        return interval(self.values[measure])


def summed(parts: Mapping[PartKey, Chosen]) -> list[PaperScores]:
    """A row for each method and count, in the order in which they come first."""
    rows: dict[tuple[str, int], PaperScores] = {}
    for key, chosen in parts.items():
        row = rows.setdefault((key.method, key.together), PaperScores(key.method, key.together))
        for number in sorted(chosen):
            for measure, answers in chosen[number].items():
                row.values.setdefault(measure, []).append(value(measure, answers))
    return list(rows.values())
