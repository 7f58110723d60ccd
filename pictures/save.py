"""Figures as files."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from ..editing.errors import EditError
from ..editing.whole_file import check_place, whole_file
from .style import as_written

_FORMATS = ("png", "jpg", "jpeg", "webp", "tif", "tiff", "svg", "pdf")


def check_picture(path: Path) -> None:
    """Before what takes long: raise :class:`EditError` where no picture could be written, or not in the format of its name."""
    if _format(path) not in _FORMATS:
        raise EditError(f"“{path}” cannot be a picture; give a name that ends in .png, .jpg, .webp, .tif, .svg or .pdf.")
    check_place(path)


def save_picture(figure: Figure, path: Path, dpi: int) -> None:
    """Write a figure in the format of its name, whole or not at all. Raises :class:`OSError`."""
    with whole_file(path) as file:
        as_written(figure).savefig(file, format=_format(path), dpi=dpi)


def _format(path: Path) -> str:
    return path.suffix.lower().removeprefix(".")
