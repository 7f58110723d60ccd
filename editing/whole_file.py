"""Files that appear whole or not at all."""

from __future__ import annotations

import os

import torch
from safetensors.torch import save_file


def save_whole(tensors: dict[str, torch.Tensor], path: str | os.PathLike[str], header: dict[str, str]) -> None:
    """Write a .safetensors file beside its place and move it there, so that a stop leaves no half file."""
    path = os.fspath(path)
    partial = f"{path}.partial"
    try:
        save_file(tensors, partial, header)
        os.replace(partial, path)
    finally:
        if os.path.exists(partial):
            os.remove(partial)
