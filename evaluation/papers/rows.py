"""Tables that users give, as rows with the names of their columns."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path

from ...editing.errors import EditError
from ...editing.text_file import read_text

Row = dict[str, str]


def read_rows(path: Path, what: str) -> list[Row]:
    """The rows of a CSV file, or of a JSON list of objects; columns by their names as they stand there.

    Args:
        path: of the file.
        what: its rows are, in the plural, such as "edits".

    Raises:
        EditError: it cannot be read or has no rows, or a row has more cells than there are columns.
    """
    text = read_text(path, what)
    rows = _objects(text, path, what) if path.suffix.lower() == ".json" else _cells(text, path, what)
    if not rows:
        raise EditError(f"“{path}” has no rows; give a file of {what}.")
    return rows


def _cells(text: str, path: Path, what: str) -> list[Row]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        rows = list(reader)
    except csv.Error as error:
        raise EditError(f"“{path}” cannot be read ({error}); give a CSV file of {what}.") from error
    for number, row in enumerate(rows, start=2):
        if None in row:
            raise EditError(f"Row {number} of “{path}” has more cells than there are columns; put quotes around its commas.")
    return [{name: cell or "" for name, cell in row.items()} for row in rows]


def _objects(text: str, path: Path, what: str) -> list[Row]:
    try:
        rows = json.loads(text)
    except ValueError as error:
        raise EditError(f"“{path}” cannot be read ({error}); give a file of {what}.") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise EditError(f"“{path}” is no list of objects; give a file of {what}.")
    return [{name: "" if cell is None else str(cell) for name, cell in row.items()} for row in rows]


def cell(row: Row, column: str, number: int, path: Path) -> str:
    """A cell that has to hold something. Raises :class:`EditError` where it is empty."""
    text = row.get(column, "").strip()
    if not text:
        raise EditError(f"Row {number} of “{path}” has nothing in its column “{column}”; fill it in.")
    return text


def numbered(columns: Sequence[str], name: str) -> list[str]:
    """The numbers, as text, with which columns of this name end, in their order: "1" for "positive1"."""
    matches = (re.fullmatch(rf"{re.escape(name)}(\d+)", column) for column in columns)
    return sorted((match[1] for match in matches if match), key=int)


def seed_of(row: Row, column: str, number: int, path: Path) -> tuple[int, ...]:
    """The seed in a column; none where it is empty. Raises :class:`EditError` where it is no number."""
    text = row.get(column, "").strip()
    try:
        return (int(float(text)),) if text else ()
    except (ValueError, OverflowError):
        raise EditError(f"Row {number} of “{path}” has “{text}” where a seed belongs; give a whole number.") from None
