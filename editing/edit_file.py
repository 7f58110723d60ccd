"""The edit file: one .safetensors that holds an edit's solution, its recipe and its text encoder's identity."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

from .any_edit import AnyEdit
from .assumptions.chance_map import ChanceMap
from .assumptions.context_map import ContextMap
from .assumptions.edit import Edit
from .assumptions.recipe import Recipe, recipe_from_json
from .concepts import concept_file
from .concepts.concept_edit import ConceptEdit
from .encoder_identity import EncoderIdentity
from .errors import EditError
from .families import FAMILIES
from .tensor_file import TensorFile, open_tensors
from .whole_file import save_whole, why

FORMAT = "edit_assumption"
VERSION = 4
"""Of edits that were solved behind a norm or layers of the model's own. One by chance is written as version 3, one of concepts
as 2, another one of the projections as 1, which the first release reads, too."""
_TENSORS = ("left", "right", "encoder")
_POOLED = ("pooled_left", "pooled_right")
_CHANCE, _VARIANTS = ("chance_always", "chance_right"), "chance_variants_{}"
_ORDINARY, _NORMS, _LAYERS = "ordinary_reach", "norms", "layers"


def save_edit(edit: AnyEdit, path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None) -> None:
    """Write an edit. The file appears whole or not at all.

    Args:
        edit: what to write.
        path: where, overwritten if it exists.
        metadata: more texts for the file's header, such as a host's workflow.

    Raises:
        OSError: it cannot be written; a file that was there before is still there.
    """
    tensors, header = concept_file.contents(edit) if isinstance(edit, ConceptEdit) else _contents(edit)
    version = 2 if isinstance(edit, ConceptEdit) else VERSION if edit.norms or edit.layers else 3 if edit.chance else 1
    header = {**(metadata or {}), "format": FORMAT, "format_version": str(version), **header}
    save_whole(tensors, path, header)


def _contents(edit: Edit) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    header = {
        "recipe": edit.recipe.to_json(),
        "recipe_text": edit.recipe.to_text(),
        "family": " or ".join(family.name for family in FAMILIES if family.width == edit.context_map.width) or "other",
        "encoder_prompt": edit.encoder.prompt,
        "tokens": str(edit.tokens),
        "edited": str(edit.edited),
        "residual": repr(edit.residual),
        **({} if edit.ordinary_reach is None else {_ORDINARY: repr(edit.ordinary_reach)}),
        **({_NORMS: str(edit.norms)} if edit.norms else {}),
        **({_LAYERS: edit.layers} if edit.layers else {}),
    }
    tensors = dict(zip(_TENSORS, (edit.context_map.left, edit.context_map.right, edit.encoder.embeddings), strict=True))
    if edit.pooled_map:
        tensors |= zip(_POOLED, (edit.pooled_map.left, edit.pooled_map.right), strict=True)
    if edit.chance:
        tensors |= zip(_CHANCE, (edit.chance.always, edit.chance.right), strict=True)
        tensors |= {_VARIANTS.format(place): variants for place, variants in enumerate(edit.chance.variants)}
    return tensors, header


def is_edit(path: str | os.PathLike[str]) -> bool:
    """Whether a file's header is an edit's; False where it cannot be read."""
    try:
        with open_tensors(path) as file:
            return file.metadata().get("format") == FORMAT
    except (OSError, ValueError):
        return False


def load_edit(path: str | os.PathLike[str]) -> AnyEdit:
    """Read and validate an edit file. The edit is in memory: the file may be changed or removed afterwards.

    Raises:
        EditError: the file cannot be read, is no edit, is damaged, or was written by a newer version.
    """
    with _edit_header(path) as (file, header):
        if header.get("kind") == concept_file.KIND:
            return concept_file.read_contents(file, header)
        left, right, encoder = (file.get_tensor(tensor).float() for tensor in _TENSORS)
        recipe = recipe_from_json(header["recipe"])
        pooled = ContextMap(*(file.get_tensor(tensor).float() for tensor in _POOLED)) if recipe.pooled else None
        layers = header.get(_LAYERS, "")
        if encoder.ndim != 2 or left.ndim != 2 or not left.shape[1] or not (layers or encoder.shape[1] == left.shape[0]):
            raise ValueError("tensors do not fit each other")
        norms = int(header.get(_NORMS, 0))
        if norms < 0 or (norms and left.shape[0] % norms):
            raise ValueError(f"{norms} norms do not fit {left.shape[0]} numbers a token")
        return Edit(
            recipe=recipe,
            context_map=ContextMap(left, right),
            encoder=EncoderIdentity(header["encoder_prompt"], encoder),
            tokens=int(header["tokens"]),
            edited=int(header["edited"]),
            residual=float(header["residual"]),
            ordinary_reach=float(header[_ORDINARY]) if _ORDINARY in header else None,
            pooled_map=pooled,
            chance=_chance(file, recipe, left.shape[0]) if recipe.drawn else None,
            norms=norms,
            layers=layers,
        )


def _chance(file: TensorFile, recipe: Recipe, width: int) -> ChanceMap:
    always, right = (file.get_tensor(tensor).float() for tensor in _CHANCE)
    variants = tuple(file.get_tensor(_VARIANTS.format(place)).float() for place in range(len(recipe.drawn)))
    shape = width, len(right)
    fit = always.shape == shape and right.shape == shape[::-1]
    if not fit or any(part.shape != (len(own.variants), *shape) for own, part in zip(recipe.drawn, variants, strict=True)):
        raise ValueError("tensors do not fit each other")
    return ChanceMap(always, variants, right)


def read_header(path: str | os.PathLike[str]) -> dict[str, str]:
    """The texts of an edit file, the recipe's lines under "recipe_text"; no tensor is read.

    Raises:
        EditError: as :func:`load_edit`.
    """
    with _edit_header(path) as (_, header):
        if "recipe_text" not in header:
            raise ValueError("it has no recipe")
        return header


@contextmanager
def _edit_header(path: str | os.PathLike[str]) -> Iterator[tuple[TensorFile, dict[str, str]]]:
    """An open edit file and its header; whatever is wrong with it in the block becomes an :class:`EditError` that names it."""
    name = os.path.basename(path)
    try:
        with open_tensors(path) as file:
            header = file.metadata()
            if header.get("format") != FORMAT:
                raise EditError(f"“{name}” is not an edit; choose a file that Save Edit wrote.")
            version = header.get("format_version", "")
            if not version.isdigit() or int(version) > VERSION:
                raise EditError(f"“{name}” was written by a newer version of Edit Assumption; update it to load this edit.")
            yield file, header
    except FileNotFoundError:
        raise EditError(f"The edit “{name}” is no longer there; choose another one.") from None
    except EditError as error:
        raise EditError(f"“{name}” cannot be used: {error}" if name not in str(error) else str(error)) from None
    except OSError as error:
        raise EditError(f"The edit “{name}” cannot be read: {why(error)}.") from error
    except (ValueError, KeyError) as error:
        raise EditError(f"“{name}” is damaged or is not an edit ({error}); save the edit again.") from error
