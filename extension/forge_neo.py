"""Forge Neo, and whatever else of Forge's kind has ComfyUI's patcher: the projections' inputs are mapped, so that LoRA,
offloading and packed weights go on as they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from backend.args import dynamic_args

from ..editing.assumptions.context_map import ContextMap
from ..editing.errors import EditError
from .forge_family import ForgeFamily, readable
from .input_maps import mapped_inputs

_COMPILED = "_torch_compile_config"
"""Attribute of a model that the bundled extension for torch.compile has wrapped."""


class ForgeNeo(ForgeFamily):
    """See :class:`~.running_host.Host`."""

    @contextmanager
    def quiet(self, model: Any) -> Iterator[None]:
        """Embeddings and emphasis of a recipe's prompts are not the picture's."""
        known = dict(dynamic_args.last_extra_generation_params)
        try:
            yield
        finally:
            dynamic_args.last_extra_generation_params.clear()
            dynamic_args.last_extra_generation_params.update(known)

    def weight(self, model: Any, key: str) -> torch.Tensor:
        """The patcher keeps the original of a weight that it has merged into."""
        unet = model.forge_objects.unet
        kept = unet.backup.get(key)
        return readable(unet.model.get_parameter(key) if kept is None else kept.weight)

    @contextmanager
    def edited(self, model: Any, maps: dict[str, list[ContextMap]]) -> Iterator[None]:
        """By the projections' inputs. A compiled model may run without hooks, or keep those that are gone."""
        kmodel = model.forge_objects.unet.model
        if hasattr(kmodel, _COMPILED):
            raise EditError("The model is compiled, so no edit can be put on it; switch Torch Compile off.")
        with mapped_inputs(kmodel, maps):
            yield
