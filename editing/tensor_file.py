""".safetensors files read into memory. Nothing stays open or mapped: the file may be changed or removed at any time."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from typing import Any

import torch

_TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}  # fmt: skip
_LONGEST_HEADER = 100_000_000
"""The format's own limit, in bytes."""
_METADATA = "__metadata__"
_NAMES = {dtype: name for name, dtype in _TYPES.items()}
_PIECE = 2**22
"""Bytes that are copied at once."""


class TensorFile:
    """An open file: 8 bytes of the header's length, the header in JSON, the tensors' bytes.

    Args:
        file: read at its beginning.

    Raises:
        ValueError: it is no .safetensors file.
    """

    def __init__(self, file: BufferedReader) -> None:
        self._file = file
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(size - 8, _LONGEST_HEADER):
            raise ValueError("it has no header")
        try:
            header = json.loads(file.read(length).decode())
            self._texts = {str(key): str(text) for key, text in header.pop(_METADATA, {}).items()}
            self._entries = {name: _entry(entry, size - 8 - length) for name, entry in header.items()}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise ValueError("its header is damaged") from None
        self._start = 8 + length

    def metadata(self) -> dict[str, str]:
        """The header's texts."""
        return self._texts

    def keys(self) -> list[str]:
        """The tensors' names."""
        return list(self._entries)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name to shape of each tensor, in the order of their bytes in the file."""
        entries = sorted(self._entries.items(), key=lambda item: item[1][2:])
        return {name: tuple(shape) for name, (_, shape, _, _) in entries}

    def header(self, texts: Mapping[str, str]) -> bytes:
        """The beginning of a file with the same tensors, in the order of :meth:`shapes`, and other texts."""
        place, entries = 0, {}
        for name in self.shapes():
            dtype, shape, begin, end = self._entries[name]
            entries[name] = {"dtype": _NAMES[dtype], "shape": shape, "data_offsets": [place, place + end - begin]}
            place += end - begin
        text = json.dumps({_METADATA: dict(texts), **entries}).encode()
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text

    def pieces(self, name: str) -> Iterator[bytes]:
        """A tensor's bytes, a few at a time. Raises :class:`ValueError` where the file ends within it."""
        _, _, begin, end = self._entries[name]
        while begin < end:
            self._file.seek(self._start + begin)
            piece = self._file.read(min(_PIECE, end - begin))
            if not piece:
                raise ValueError(f"it ends within {name}")
            begin += len(piece)
            yield piece

    def get_tensor(self, name: str) -> torch.Tensor:
        """A tensor, in memory of its own. Raises :class:`KeyError` where there is none, :class:`ValueError` for half of one."""
        dtype, shape, begin, end = self._entries[name]
        data = bytearray(end - begin)
        self._file.seek(self._start + begin)
        if self._file.readinto(data) < len(data):
            raise ValueError(f"it ends within {name}")
        try:
            return torch.frombuffer(data, dtype=dtype).reshape(shape) if data else torch.empty(shape, dtype=dtype)
        except (RuntimeError, OverflowError):  # of no numbers, but too many sides
            raise ValueError(f"the shape of {name} is impossible") from None


def _entry(entry: dict[str, Any], room: int) -> tuple[torch.dtype, list[int], int, int]:
    """Type, shape, first byte and end of a tensor. Raises :class:`ValueError` and others where it is none within ``room``."""
    dtype, shape, (begin, end) = _TYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
    if any(not isinstance(number, int) or number < 0 for number in (*shape, begin, end)):
        raise ValueError
    if not begin <= end <= room or end - begin != math.prod(shape) * dtype.itemsize:
        raise ValueError
    return dtype, shape, begin, end


@contextmanager
def open_tensors(path: str | os.PathLike[str]) -> Iterator[TensorFile]:
    """The file, to read single tensors or the header alone.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no .safetensors file, or damaged.
    """
    with open(path, "rb") as file:
        yield TensorFile(file)


def load_tensors(path: str | os.PathLike[str]) -> dict[str, torch.Tensor]:
    """All tensors of a file. Raises as :func:`open_tensors`."""
    with open_tensors(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - an open file, no dictionary
