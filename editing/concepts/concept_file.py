"""A concept edit as a file: the same kind of .safetensors as any edit, with another content."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Protocol

import torch

from ..encoder_identity import EncoderIdentity
from .concept_edit import ConceptEdit, Factors
from .concept_recipe import concept_recipe_from_json
from .text_encoder import NAMES

KIND = "concepts"
_IDENTITY = "encoder"


class _Tensors(Protocol):
    def keys(self) -> list[str]: ...

    def get_tensor(self, name: str) -> torch.Tensor: ...


def contents(edit: ConceptEdit) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """An edit's tensors and the entries of its header."""
    tensors = {f"{name}.{_IDENTITY}": identity.embeddings for name, identity in edit.encoders.items()}
    for name, layers in edit.changes.items():
        for layer, (up, down) in layers.items():
            tensors |= {f"{name}.{layer}.up": up, f"{name}.{layer}.down": down}
    header = {
        "kind": KIND,
        "recipe": edit.recipe.to_json(),
        "recipe_text": edit.recipe.to_text(),
        "family": ", ".join(edit.changes),
        "encoder_prompt": next(iter(edit.encoders.values())).prompt,
        "left": json.dumps(edit.left),
    }
    return tensors, header


def read_contents(file: _Tensors, header: Mapping[str, str]) -> ConceptEdit:
    """What :func:`contents` gave, from an open file.

    Raises:
        EditError, ValueError, KeyError: it is damaged.
    """
    tensors: dict[str, dict[int, dict[str, torch.Tensor]]] = defaultdict(lambda: defaultdict(dict))
    encoders = {}
    for key in file.keys():  # noqa: SIM118 - an open file, no dictionary
        name, *rest = key.split(".")
        if name not in NAMES:
            raise ValueError(f"the text encoder {name} is not known")
        if rest == [_IDENTITY]:
            encoders[name] = EncoderIdentity(header["encoder_prompt"], file.get_tensor(key).float())
        else:
            layer, side = rest
            tensors[name][int(layer)][side] = file.get_tensor(key).float()
    changes = {name: {layer: _factors(sides) for layer, sides in sorted(layers.items())} for name, layers in tensors.items()}
    if not changes or set(changes) != set(encoders):
        raise ValueError("tensors do not fit each other")
    changes = {name: changes[name] for name in NAMES if name in changes}
    recipe = concept_recipe_from_json(header["recipe"])
    return ConceptEdit(recipe, changes, encoders, _left(header["left"], len(recipe.concepts)))


def _left(text: str, count: int) -> tuple[float | None, ...]:
    """One for each concept; older files have one mean for all."""
    told = json.loads(text)
    each = told if isinstance(told, list) else [told] * count
    if len(each) != count:
        raise ValueError("as much is left as there are concepts")
    return tuple(None if one is None else float(one) for one in each)


def _factors(sides: Mapping[str, torch.Tensor]) -> Factors:
    up, down = sides["up"], sides["down"]
    if up.ndim != 2 or down.ndim != 2 or up.shape[1] != down.shape[0] or not (up.isfinite().all() and down.isfinite().all()):
        raise ValueError("tensors do not fit each other")
    return up, down
