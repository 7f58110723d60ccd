"""Files of what can be computed again: one that cannot be written, read or understood stops nobody."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TypeVar

import torch

from .tensor_file import TensorFile, open_tensors
from .whole_file import save_whole, why

T = TypeVar("T")


def keep(tensors: Mapping[str, torch.Tensor], path: Path, header: Mapping[str, str]) -> None:
    """Write a .safetensors file, or warn where that is not possible; its folder is made if need be."""
    try:
        save_whole(tensors, path, header)
    except OSError as error:
        _warn("written to", path.parent, why(error))


def read_kept(path: Path, read: Callable[[TensorFile], T | None]) -> T | None:
    """What a file holds; None where there is none, or a damaged one, which is as good as none.

    Args:
        path: of the file.
        read: makes it of the open file; raises :class:`ValueError` or :class:`KeyError` where the file is damaged.
    """
    try:
        with open_tensors(path) as file:
            return read(file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        _warn("read from", path.parent, why(error))
        return None
    except (ValueError, KeyError):
        return None


@cache
def _warn(what: str, folder: Path, reason: str) -> None:
    """Once for each folder."""
    logging.warning("Edit Assumption: results cannot be %s “%s” (%s); they are computed again each time.", what, folder, reason)
