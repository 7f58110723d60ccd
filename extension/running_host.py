"""The WebUI that is running, by what it offers: A1111, Forge, Forge Neo or reForge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

import torch

from ..editing.assumptions.context_map import ContextMap
from ..editing.encoding import EncodedPrompt, EncodeShort


class Encoder(Protocol):
    """The library's ``encode``, and what else is asked of a text encoder."""

    def __call__(self, prompts: Sequence[str]) -> list[EncodedPrompt]:
        """Encode prompts."""

    @property
    def vocabulary(self) -> dict[str, int]:
        """Piece to number of the tokenizer."""

    @property
    def short(self) -> EncodeShort | None:
        """The same in short windows; None where the encoder has none."""


class Host(Protocol):
    """What differs between the WebUIs."""

    def loaded_model(self) -> Any:
        """The WebUI's ``sd_model`` of the checkpoint that is chosen, loaded first if it is not yet."""

    def text_engine(self, model: Any) -> Any:
        """What cuts prompts into chunks (``process_texts``). Raises EditError for a model whose encoder is not known."""

    def row_encoder(self, model: Any, advance: Callable[[int, int], None]) -> Encoder | None:
        """The text encoder of a model that is edited by the rows that it is handed; None for one that is edited at its layers.
        ``advance`` is told how many prompts are encoded, and of how many. Raises EditError where there are no such rows."""

    def text_layers(self, model: Any) -> dict[str, Sequence[torch.nn.Module]]:
        """Each text encoder's transformer layers, which have an ``mlp``, by the names of ``editing.concepts.encoder``; those of
        an encoder that is not CLIP's are empty, or it is left out where it is the only one."""

    def pieces(self, engine: Any, ids: list[int]) -> list[str]:
        """The text of each token."""

    def vocabulary(self, engine: Any) -> dict[str, int]:
        """Piece to number of its tokenizer."""

    def quiet(self, model: Any) -> AbstractContextManager[None]:
        """While it is open, encoding leaves no trace in the picture's parameters."""

    def shapes(self, model: Any) -> dict[str, tuple[int, ...]]:
        """Name of every weight of the UNet to its shape."""

    def weight(self, model: Any, key: str) -> torch.Tensor:
        """A weight as the checkpoint has it, without LoRA. Raises PackedWeightsError where it is packed."""

    def edited(self, model: Any, maps: dict[str, list[ContextMap]]) -> AbstractContextManager[None]:
        """While it is open, every named weight W acts as W M, for each of its maps in turn."""


def name_of(model: Any) -> tuple[int, Any]:
    """Tells models apart: a checkpoint of the same kind is loaded into the same object, so its file counts, too."""
    return id(model), getattr(getattr(model, "sd_checkpoint_info", None), "filename", None)


@cache
def host() -> Host:
    """By what is there: Forge's ``backend`` with patches of its own kind or of ComfyUI's, or ``ldm_patched`` in its place."""
    if find_spec("modules_forge") and find_spec("backend"):
        if hasattr(import_module("backend.patcher.lora"), "extra_weight_calculators"):
            from .forge import Forge

            return Forge()
        from .forge_neo import ForgeNeo

        return ForgeNeo()
    if find_spec("modules_forge") and find_spec("ldm_patched"):
        from .reforge import ReForge

        return ReForge()
    from .a1111 import A1111

    return A1111()
