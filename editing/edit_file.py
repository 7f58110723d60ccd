"""The edit file: one .safetensors that holds the map, the recipe and the text encoder's identity."""

from __future__ import annotations

import os
from collections.abc import Mapping

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .context_map import ContextMap
from .edit import Edit, EncoderIdentity
from .errors import EditError
from .projections import families_of
from .recipe import recipe_from_json

FORMAT = "edit_assumption"
VERSION = 1
_TENSORS = ("left", "right", "encoder")
_POOLED = ("pooled_left", "pooled_right")


def save_edit(edit: Edit, path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None) -> None:
    """Write an edit. The file appears whole or not at all.

    Args:
        edit: what to write.
        path: where, overwritten if it exists.
        metadata: more texts for the file's header, such as a host's workflow.
    """
    header = {
        **(metadata or {}),
        "format": FORMAT,
        "format_version": str(VERSION),
        "recipe": edit.recipe.to_json(),
        "recipe_text": edit.recipe.to_text(),
        "family": " or ".join(family.name for family in families_of(edit.context_map.width)),
        "encoder_prompt": edit.encoder.prompt,
        "tokens": str(edit.tokens),
        "edited": str(edit.edited),
        "residual": repr(edit.residual),
    }
    tensors = dict(zip(_TENSORS, (edit.context_map.left, edit.context_map.right, edit.encoder.embeddings), strict=True))
    if edit.pooled_map:
        tensors |= zip(_POOLED, (edit.pooled_map.left, edit.pooled_map.right), strict=True)
    save_whole({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, path, header)


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


def load_edit(path: str | os.PathLike[str]) -> Edit:
    """Read and validate an edit file.

    Raises:
        EditError: the file is no edit, is damaged, or was written by a newer version.
    """
    name = os.path.basename(path)
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise EditError(f"“{name}” is not an edit; choose a file that Save Edit wrote.")
            version = header.get("format_version", "")
            if not version.isdigit() or int(version) > VERSION:
                raise EditError(f"“{name}” was written by a newer version of Edit Assumption; update it to load this edit.")
            left, right, encoder = (file.get_tensor(tensor).float() for tensor in _TENSORS)
            recipe = recipe_from_json(header["recipe"])
            pooled = ContextMap(*(file.get_tensor(tensor).float() for tensor in _POOLED)) if recipe.pooled else None
        if encoder.ndim != 2 or left.ndim != 2 or encoder.shape[1] != left.shape[0] or not left.shape[1]:
            raise ValueError("tensors do not fit each other")
        return Edit(
            recipe=recipe,
            context_map=ContextMap(left, right),
            encoder=EncoderIdentity(header["encoder_prompt"], encoder),
            tokens=int(header["tokens"]),
            edited=int(header["edited"]),
            residual=float(header["residual"]),
            pooled_map=pooled,
        )
    except FileNotFoundError:
        raise EditError(f"The edit “{name}” is no longer there; choose another one.") from None
    except EditError as error:
        raise EditError(f"“{name}” cannot be used: {error}" if name not in str(error) else str(error)) from None
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise EditError(f"“{name}” is damaged or is not an edit ({error}); save the edit again.") from error
