"""A folder that results are written into again and again while they are measured."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..editing.whole_file import check_place, save_somewhere, why

Write = Callable[[Path], object]
"""Writes results into a folder; raises :class:`OSError`."""


@contextmanager
def results_folder(folder: Path, names: Sequence[str]) -> Iterator[Callable[[Write, str], None]]:
    """A function that is given all results so far: how to write them, and the same as text.

    A folder that goes away meanwhile stops no run. Where the last results could not be written, they go to the temporary
    folder in the end.

    Args:
        folder: where results go.
        names: of the files in it.

    Raises:
        EditError: at the beginning, where nothing can be written; in the end, where the results are elsewhere.
    """
    for name in names:
        check_place(folder / name)
    unwritten: list[tuple[Write, str]] = []

    def put(write: Write, text: str) -> None:
        try:
            write(folder)
            unwritten.clear()
        except OSError as error:
            if not unwritten:
                logging.warning("“%s” cannot be written (%s); the measurement goes on.", folder, why(error))
            unwritten[:] = [(write, text)]

    try:
        yield put
    finally:
        for write, text in unwritten:
            save_somewhere(write, folder, "What was measured", text)
