"""LPIPS of kept pictures: how far a method moves each prompt's pictures from the unedited model's, from the same noise.

UCE's and EMCID's measure for artists (Gandikota et al. 2024): much for those who are erased, little for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...pipelines.command_inputs import read_picture
from .edit_set import MEASURES
from .paper_methods import PaperMethod
from .picture_files import UNEDITED, WHOLE, file_name
from .quality import LPIPS
from .run import Group, place_of, shots_of
from .scores import PaperScores

Paths = tuple[Path, Path]


def column(measure: str) -> str:
    """The name of its column: that of a measure's prompts."""
    return f"{LPIPS}, {measure}"


COLUMNS = tuple(map(column, MEASURES))


def pairs(folder: Path, method: PaperMethod, groups: Sequence[Group], seeds: Sequence[int], measure: str) -> Iterator[Paths]:
    """A measure's pictures with a method, and the unedited model's."""
    for group in groups:
        place = folder / WHOLE / place_of(method.name, group.together, group.number)
        for edit in group.drawn.values():
            for case in edit.cases.get(measure, ()):
                for shot in shots_of(case, seeds, oracle=False):
                    name = f"{file_name(shot)}.png"
                    yield place / name, folder / WHOLE / UNEDITED / name


def add_lpips(
    results: Sequence[PaperScores],
    methods: Sequence[PaperMethod],
    groups: Sequence[Group],
    folder: Path,
    seeds: Sequence[int],
    metric: Callable[[], Any],
) -> None:
    """Put a column for each measure's prompts into the rows of methods that edit.

    Args:
        results: rows of the table.
        methods: of the run; the unedited model among them.
        groups: of the run.
        folder: where the pictures are.
        seeds: of the run.
        metric: makes torchmetrics' LPIPS.

    Raises:
        EditError: a picture is not there, such as one of an earlier run that kept none.
    """
    known = {method.name: method for method in methods if not method.plain}
    for row in results:
        if row.method not in known:
            continue
        own = [group for group in groups if group.together == row.together]
        for measure in row.values:
            apart = metric()
            for after, before in pairs(folder, known[row.method], own, seeds, measure):
                apart.update(*(_picture(path).to(torch.device(apart.device)) for path in (after, before)))
            row.quality[column(measure)] = float(apart.compute())


def _picture(path: Path) -> torch.Tensor:
    """(1, 3, height, width) from -1 to 1."""
    pixels = torch.from_numpy(np.asarray(read_picture(path), dtype=np.float32).copy())
    return pixels.permute(2, 0, 1)[None] / 127.5 - 1
